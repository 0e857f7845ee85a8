"""Gradients of many functions against closed forms and central differences in float64 numpy."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.differentiable import TABLE, values
from keras import ops

import unikeras as uk

STEP = 1e-6


def expected(row, weights):
    """Return d sum(weights * truth) / d input for each input."""
    if row.derivative is not None:
        return [weights * row.derivative(row.inputs[0])]
    return [central_differences(row, number, weights) for number in range(len(row.inputs))]


def central_differences(row, number, weights):
    gradient = np.zeros_like(row.inputs[number])
    for index in np.ndindex(gradient.shape):
        for sign in (1, -1):
            inputs = [value.copy() for value in row.inputs]
            inputs[number][index] += sign * STEP
            gradient[index] += sign * np.sum(weights * row.truth(*inputs)) / (2 * STEP)
    return gradient


def close(actual, wanted):
    for one, other in zip(actual, wanted, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(one), other, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_gradient(row):
    inputs = [ops.convert_to_tensor(value, dtype="float32") for value in row.inputs]
    output = row.truth(*row.inputs)
    # Ones would hide what a softmax or a normalization does: their outputs' sum is constant.
    weights = values(*np.shape(output), low=0.5, high=1.5, seed=3)
    wanted = expected(row, weights)
    given = ops.convert_to_tensor(weights, dtype="float32")

    with uk.GradientTape() as tape:
        tape.watch(inputs)
        y = row.f(*inputs)
    close([y], [output])
    close(tape.gradient(y, inputs, output_gradients=given), wanted)

    every = tuple(range(len(inputs)))
    close(uk.grad(lambda *xs: ops.sum(row.f(*xs) * given), every)(*inputs), wanted)


def test_the_table_is_large_and_names_each_function_once():
    assert len({row.name for row in TABLE}) == len(TABLE) >= 60

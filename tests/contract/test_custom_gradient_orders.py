"""uk.custom_gradient at the second order, nested, and what it refuses."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

import unikeras as uk
from unikeras.errors import ArgumentError, TransformError

pytestmark = pytest.mark.usefixtures("backend")


def tensor(value):
    return ops.convert_to_tensor(value, dtype="float32")


@uk.custom_gradient
def square(x):
    """Says that the derivative of x * x is 3 x."""
    return x * x, lambda up: up * 3.0 * x


def squared(x):
    return square(x) ** 2


@pytest.mark.parametrize(
    ("derivative", "expected"),
    [
        (lambda: uk.grad(uk.grad(squared)), 96.0),
        (lambda: uk.grad(uk.grad(uk.grad(squared))), 108.0),
        (lambda: uk.function(uk.grad(uk.grad(squared))), 96.0),
        (lambda: uk.grad(uk.function(uk.grad(squared))), 96.0),
        (lambda: uk.grad(uk.grad(uk.function(squared))), 96.0),
        (lambda: uk.hessian(squared), 96.0),
    ],
)
def test_the_result_has_the_given_derivative_at_every_order(derivative, expected):
    assert float(derivative()(tensor(2.0))) == expected


def test_a_tape_in_a_tape():
    x = tensor(2.0)
    with uk.GradientTape() as outer:
        outer.watch(x)
        with uk.GradientTape() as inner:
            inner.watch(x)
            y = squared(x)
        first = inner.gradient(y, x)
    assert float(outer.gradient(first, x)) == 96.0


def test_an_infinite_derivative_of_the_function_itself_is_not_used():
    @uk.custom_gradient
    def root(x):
        return ops.sqrt(x), lambda up: up * 5.0

    zero = tensor(0.0)
    assert float(uk.grad(root)(zero)) == 5.0
    assert float(uk.grad(uk.grad(lambda x: root(x) ** 2))(zero)) == 50.0


def test_the_function_runs_once():
    calls = []

    @uk.custom_gradient
    def counted(x):
        calls.append(1)
        return x * 1.0, lambda up: up

    uk.grad(counted)(tensor(2.0))
    assert len(calls) == 1


def test_one_in_another():
    @uk.custom_gradient
    def outer(x):
        return square(x) * 2.0, lambda up: up * square(x)

    assert float(uk.grad(outer)(tensor(2.0))) == 4.0
    assert float(uk.grad(uk.grad(outer))(tensor(2.0))) == 6.0


@pytest.mark.parametrize("run", [lambda f: f(), lambda f: uk.function(f)()])
def test_variables_that_the_function_reads_are_refused(run):
    layer = keras.layers.Dense(1, name="inside")
    layer.build((None, 1))

    @uk.custom_gradient
    def calls(x):
        return layer(x), lambda up: up

    with pytest.raises(
        TransformError, match="calls reads the trainable variables inside/kernel, inside/bias"
    ):
        run(lambda: calls(ops.ones((1, 1))))
    layer.trainable = False
    if keras.backend.backend() == "tensorflow":  # its variables keep the flag that they were created with
        with pytest.raises(TransformError, match="inside/kernel"):
            uk.grad(calls)(ops.ones((1, 1)))
        return
    np.testing.assert_array_equal(uk.grad(calls)(ops.ones((1, 1))), [[1.0]])


def test_tensors_of_keyword_only_arguments_are_refused():
    @uk.custom_gradient
    def scaled(x, *, by, name="any"):
        return x * by, lambda up: up * by

    with pytest.raises(ArgumentError, match=r"by: .*keyword-only"):
        scaled(tensor(2.0), by=tensor(3.0))
    assert float(uk.grad(lambda x: scaled(x, by=3.0, name="other"))(tensor(2.0))) == 3.0


@pytest.mark.parametrize("transform", ["jvp", "hvp"])
def test_forward_mode_is_right_or_refused(transform):
    x, one = tensor(2.0), tensor(1.0)
    with pytest.raises(TransformError, match="custom_gradient"):
        uk.jvp(squared, (x,), (one,)) if transform == "jvp" else uk.hvp(squared, x, one)


def test_vmap_gives_each_gradient_or_is_refused():
    x = ops.convert_to_tensor([1.0, 2.0])
    if keras.backend.backend() == "torch":
        with pytest.raises(TransformError, match="custom_gradient"):
            uk.vmap(square)(x)
    else:
        np.testing.assert_array_equal(uk.vmap(uk.grad(uk.grad(squared)))(x), [24.0, 96.0])


def test_a_gradient_around_a_vmap_is_the_given_one_or_refused():
    x = ops.convert_to_tensor([1.0, 2.0])
    try:
        gradient = uk.grad(lambda x: ops.sum(uk.vmap(squared)(x)))(x)
    except TransformError as error:
        assert "custom_gradient" in str(error)  # noqa: PT017
    else:
        np.testing.assert_array_equal(gradient, [6.0, 48.0])

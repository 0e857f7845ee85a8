"""uk.custom_gradient: structures, keywords, variables, and gradients that do not match."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from helpers.arrays import tensor
from keras import ops

import unikeras as uk
from unikeras.errors import ArgumentError, ArgumentValueError

pytestmark = pytest.mark.usefixtures("backend")


def close(actual, expected):
    np.testing.assert_allclose(ops.convert_to_numpy(actual), expected, rtol=1e-5)


@uk.custom_gradient
def product(d, none=None, n=2):
    return {"p": d["b"] * d["a"], "n": none, "q": d["a"] * n}, lambda up: (
        {"a": up["p"] * 10.0 + up["q"] * 100.0, "b": up["p"] * 20.0},
    )


def test_structures_go_in_and_come_out():
    def f(d):
        y = product(d, n=3)
        assert y["n"] is None
        return y["p"] + y["q"]

    d = {"b": tensor(2.0), "a": tensor(1.0)}
    for run in (uk.grad(f), uk.function(uk.grad(f))):
        gradient = run(d)
        close(gradient["a"], 110.0)
        close(gradient["b"], 20.0)
    close(f(d), 5.0)


@uk.custom_gradient
def scaled(x, k=2.0):
    return x * k, lambda up: up * 5.0


@uk.custom_gradient
def listed(x, y):
    return [x * y, ops.cast(x, "int32")], lambda up: [up[0] * y * 2.0, None if up[1] is None else 1 / 0]


def test_keywords_lists_none_and_integers():
    close(uk.grad(lambda x: scaled(x, k=3.0))(tensor(1.0)), 5.0)
    close(uk.grad(lambda x: scaled(x, 3.0))(tensor(1.0)), 5.0)
    close(uk.grad(lambda x: scaled(x=x))(tensor(1.0)), 5.0)
    first, second = uk.grad(lambda x, y: listed(y=y, x=x)[0], argnums=(0, 1))(tensor(3.0), tensor(4.0))
    close(first, 8.0)
    close(second, 0.0)


def test_variables_that_are_passed_in_have_gradients():
    v = keras.Variable(3.0)
    with uk.GradientTape() as tape:
        y = scaled(v)
    close(tape.gradient(y, v), 5.0)


def test_what_the_gradient_keeps_is_differentiated_again():
    @uk.custom_gradient
    def cubed(x):
        square = x * x
        return square * x, lambda up: up * 3.0 * square

    close(uk.grad(uk.grad(cubed))(tensor(2.0)), 12.0)


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda x: (ops.sum(x), lambda up: up), r"gradient 0 has shape \(\), argument 0 has shape \(2,\)"),
        (lambda x: (ops.sum(x), lambda up: (x, x)), "2 gradients for 1 arguments"),
        (lambda x: (ops.sum(x), lambda up: {"a": x}), "gradient 0 is a dict"),
        (lambda x: (ops.sum(x), lambda up: "text"), "is a str"),
        (lambda x: ops.sum(x), r"returns \(y, g\)"),
    ],
)
def test_gradients_that_do_not_match_are_refused(f, words):
    with pytest.raises((ArgumentError, ArgumentValueError), match=words):
        uk.grad(uk.custom_gradient(f))(tensor([1.0, 2.0]))

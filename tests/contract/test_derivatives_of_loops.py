"""jvp, hvp and hessian of a recurrent layer, compiled and around a compiled function."""

from __future__ import annotations

import numpy as np
import pytest
from keras import layers, ops

import unikeras as uk

pytestmark = pytest.mark.usefixtures("backend")

# h1 = tanh(a), h2 = tanh(b + r h1), f = h2 ** 2, with the kernel 1 and the recurrent kernel R.
X, R, STEP = np.array([0.3, -0.2]), 0.7, 1e-4


def gradient(x):
    first, second = np.tanh(x[0]), np.tanh(x[1] + R * np.tanh(x[0]))
    slope = 2 * second * (1 - second**2)
    return np.array([slope * R * (1 - first**2), slope])


HESSIAN = np.stack([(gradient(X + d) - gradient(X - d)) / (2 * STEP) for d in np.eye(2) * STEP])


def tensor(value):
    return ops.convert_to_tensor(np.asarray(value, "float32").reshape(1, 2, 1))


@pytest.fixture
def f():
    layer = layers.SimpleRNN(1, use_bias=False)
    layer.build((None, 2, 1))
    layer.set_weights([np.ones((1, 1)), np.full((1, 1), R)])
    return lambda x: ops.sum(layer(x) ** 2)


V = np.array([1.0, 2.0])
DERIVATIVES = {
    "jvp": (lambda f, x, v: uk.jvp(f, (x,), (v,))[1], gradient(X) @ V),
    "hvp": (lambda f, x, v: uk.hvp(f, x, v), HESSIAN @ V),
    "hessian": (lambda f, x, v: uk.hessian(f)(x), HESSIAN),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_in_a_compiled_function(name, f):
    derivative, expected = DERIVATIVES[name]
    found = uk.function(lambda x, v: derivative(f, x, v))(tensor(X), tensor(V))
    np.testing.assert_allclose(ops.convert_to_numpy(found).reshape(np.shape(expected)), expected, rtol=1e-3)


def test_derivatives_of_a_compiled_function(f):
    derivative, expected = DERIVATIVES["hvp"]
    found = derivative(uk.function(f), tensor(X), tensor(V))
    np.testing.assert_allclose(ops.convert_to_numpy(found).reshape(2), expected, rtol=1e-3)


def test_a_tape_that_answers_once_answers_or_names_the_way(f):
    @uk.function
    def hessian(x):
        with uk.GradientTape() as tape:
            tape.watch(x)
            slope = uk.grad(f)(x)
        return tape.jacobian(slope, x)

    try:
        found = ops.convert_to_numpy(hessian(tensor(X))).reshape(2, 2)
    except uk.errors.TransformError as error:
        assert "persistent=True" in str(error)  # noqa: PT017
    else:
        np.testing.assert_allclose(found, HESSIAN, rtol=1e-3)

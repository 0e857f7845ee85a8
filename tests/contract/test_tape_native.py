"""The framework's own code inside a tape's block; the one test that knows which framework it is."""

from __future__ import annotations

import importlib

import keras
import numpy as np
import pytest
from keras import ops

import unikeras as uk

X = np.array([1.0, 3.0], "float32")


def tensorflow(tf):
    return {
        "compute": lambda x: tf.reduce_sum(tf.math.sin(x) * x),
        "trained": lambda: tf.Variable(X),
        "untrained": lambda: tf.Variable(X, trainable=False),
        "compiled": tf.function(lambda x: tf.math.exp(x)),
        "returns_its_argument": tf.function(lambda x: x),
    }


def torch(torch):
    return {
        "compute": lambda x: torch.sum(torch.sin(x) * x),
        "trained": lambda: torch.tensor(X, requires_grad=True),
        "untrained": lambda: torch.tensor(X),
        # Not the default compiler, which wants a C++ toolchain.
        "compiled": torch.compile(lambda x: torch.exp(x), backend="eager"),
        "returns_its_argument": torch.compile(lambda x: x, backend="eager"),
    }


def jax(jax):
    return {
        "compute": lambda x: jax.numpy.sum(jax.numpy.sin(x) * x),
        "trained": None,  # JAX has no variables of its own
        "untrained": lambda: jax.numpy.asarray(X),
        "compiled": jax.jit(lambda x: jax.numpy.exp(x)),
        "returns_its_argument": jax.jit(lambda x: x),
    }


NATIVE = {f.__name__: f for f in (tensorflow, torch, jax)}


@pytest.fixture
def native(backend_name):
    return NATIVE[backend_name](importlib.import_module(backend_name))


@pytest.fixture
def trained(native):
    if native["trained"] is None:
        pytest.skip("the framework has no trainable variables of its own")
    return native["trained"]()


def close(actual, expected):
    np.testing.assert_allclose(ops.convert_to_numpy(actual), expected, rtol=1e-5)


# PyTorch warns where a number is read from what is being differentiated; that it can be read is what matters here.
@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True to a scalar:UserWarning")
def test_the_frameworks_own_operations(native):
    x = ops.convert_to_tensor(X)
    with uk.GradientTape() as tape:
        tape.watch(x)
        loss = native["compute"](x)
        seen = float(loss)
    np.testing.assert_allclose(seen, np.sum(np.sin(X) * X), rtol=1e-5)
    close(tape.gradient(loss, x), np.sin(X) + X * np.cos(X))


def test_they_read_keras_variables(native):
    variable = keras.Variable(X)
    with uk.GradientTape() as tape:
        loss = native["compute"](variable.value)
    close(tape.gradient(loss, variable), np.sin(X) + X * np.cos(X))


def test_native_trainable_variables_are_watched_by_themselves(native, trained):
    with uk.GradientTape() as tape:
        loss = native["compute"](trained)
    close(tape.gradient(loss, trained), np.sin(X) + X * np.cos(X))
    assert getattr(trained, "grad", None) is None


def test_native_tensors_that_do_not_train_are_not(native):
    x = native["untrained"]()
    with uk.GradientTape() as tape:
        loss = native["compute"](x)
    with pytest.warns(UserWarning, match="is not watched"):
        assert tape.gradient(loss, x) is None


def test_watching_by_hand_only_leaves_native_variables_out(native, trained):
    with uk.GradientTape(watch_accessed_variables=False) as tape:
        loss = native["compute"](trained)
    with pytest.warns(UserWarning, match="is not watched"):
        assert tape.gradient(loss, trained) is None


def test_what_a_native_variable_was_used_for_before_the_block_is_not_recorded(trained):
    before = trained * trained
    with uk.GradientTape() as tape:
        y = before * trained
    close(tape.gradient(y, trained), X**2)


def test_functions_that_the_framework_compiled(native):
    x = ops.convert_to_tensor(X)
    for _ in range(2):  # compiled, then from the cache
        with uk.GradientTape() as tape:
            tape.watch(x)
            y = native["compiled"](x) * x
        close(tape.gradient(y, x), np.exp(X) * (1 + X))


def test_a_compiled_function_that_returns_its_argument(native):
    x = ops.convert_to_tensor(X)
    with uk.GradientTape() as tape:
        tape.watch(x)
        y = native["returns_its_argument"](x) * x
    close(tape.gradient(y, x), 2 * X)

"""What a compiled function may ask of its tensors and variables, and what is said where it may not."""

from __future__ import annotations

import contextlib
import warnings

import keras
import numpy as np
import pytest
from helpers.arrays import numpy
from keras import layers, ops

import unikeras as uk
from unikeras.errors import ArgumentError, TraceError

pytestmark = [
    pytest.mark.usefixtures("backend"),
    # Of numpy, about torch's tensors, which Keras hands to it.
    pytest.mark.filterwarnings("ignore:__array:DeprecationWarning"),
]

ONES = np.ones((2, 3), "float32")


# Weights from one model to another


def network(scale=1.0):
    model = keras.Sequential([keras.Input((2,)), layers.Dense(2), layers.BatchNormalization()])
    model.set_weights([np.full(v.shape, scale, "float32") for v in model.weights])
    return model


COPIES = {
    "weights": lambda target, online: target.set_weights(online.get_weights()),
    "one layer": lambda target, online: [
        a.set_weights(b.get_weights()) for a, b in zip(target.layers, online.layers, strict=True)
    ],
    "variables": lambda target, online: [
        a.assign(b.numpy()) for a, b in zip(target.weights, online.weights, strict=True)
    ],
    "soft": lambda target, online: target.set_weights(
        [0.5 * a + 0.5 * b for a, b in zip(target.get_weights(), online.get_weights(), strict=True)]
    ),
}


@pytest.mark.parametrize("name", COPIES)
def test_weights_are_copied_in_a_function(name):
    online, target = network(1.0), network(5.0)

    @uk.function
    def step(x):
        for variable in online.weights:
            variable.assign_add(ops.ones_like(variable.value) * x)
        COPIES[name](target, online)
        return x

    expected = [5.0 * np.ones(v.shape) for v in target.weights]
    for i in range(1, 4):
        step(np.float32(1))
        new = [(1.0 + i) * np.ones(v.shape) for v in target.weights]
        expected = [(a + b) / 2 for a, b in zip(expected, new, strict=True)] if name == "soft" else new
        for value, right in zip(target.get_weights(), expected, strict=True):
            assert isinstance(value, np.ndarray)
            np.testing.assert_allclose(value, right, rtol=1e-6)


def test_weights_are_what_they_were_when_they_were_asked_for():
    one, other = network(1.0), network(2.0)

    @uk.function
    def swap():
        weights = one.get_weights()
        one.set_weights(other.get_weights())
        other.set_weights(weights)

    for expected in (2.0, 1.0, 2.0):
        swap()
        assert {float(w.flat[0]) for w in one.get_weights()} == {expected}
        assert {float(w.flat[0]) for w in other.get_weights()} == {3.0 - expected}


def test_nothing_is_differentiated_through_weights_that_were_asked_for():
    v = keras.Variable(3.0)

    @uk.function
    def gradient(x):
        with uk.GradientTape() as tape:
            y = v * x * ops.convert_to_tensor(v.numpy())
        return tape.gradient(y, v)

    assert float(numpy(gradient(np.float32(2)))) == 6.0


def test_weights_of_another_shape_are_refused():
    one, other = (
        network(),
        keras.Sequential([keras.Input((2,)), layers.Dense(3), layers.BatchNormalization()]),
    )
    for copy in (
        lambda: one.set_weights(other.get_weights()),
        lambda: one.set_weights(other.get_weights()[:2]),
    ):
        with pytest.raises(ValueError, match=r"weight"):
            uk.function(copy)()
    assert {float(w.flat[0]) for w in one.get_weights()} == {1.0}


def test_a_model_copies_its_target_in_fit():
    class WithTarget(uk.Model):
        def train_step(self, data):
            logs = super().train_step(data)
            self.target.set_weights(self.layers[1].get_weights())
            return logs

    x = keras.Input((1,))
    model = WithTarget(x, layers.Dense(1, use_bias=False)(x))
    model.target = layers.Dense(1, use_bias=False)
    model.target.build((None, 1))
    model.target.trainable = False
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(np.ones((4, 1), "float32"), np.zeros((4, 1), "float32"), batch_size=2, epochs=1, verbose=0)
    np.testing.assert_array_equal(model.target.get_weights()[0], model.layers[1].get_weights()[0])


# What has no value while it is traced


class Choosing(layers.Layer):
    def call(self, x):
        return x if ops.mean(x) > 0 else -x


VARIABLE = keras.Variable(1.0)
CHOOSING = Choosing()
ASKING = {
    "if": lambda x: x if ops.sum(x) > 0 else -x,
    "in a layer": lambda x: CHOOSING(x),
    "under a tape": lambda x: uk.grad(lambda y: ops.sum(y) if ops.sum(y) > 0 else ops.sum(-y))(x),
    "and": lambda x: ops.sum(x) > 0 and x,
    "float": lambda x: x * float(ops.sum(x)),
    "int": lambda x: x * int(ops.sum(x)),
    "range": lambda x: [x for _ in range(ops.cast(ops.sum(x), "int32"))],
    "format": lambda x: (f"{ops.sum(x):.2f}", x)[1],
    "item": lambda x: x * ops.sum(x).item(),
    "numpy": lambda x: np.sin(x),
    "asarray": lambda x: ops.sum(np.asarray(x)),
    "to_numpy": lambda x: ops.convert_to_numpy(x),
    "of a variable": lambda x: x * float(VARIABLE),
    "numpy of weights": lambda x: x * np.sin(VARIABLE.numpy()),
}
NAMED = {"if": "chooses by the value", "float": "a Python number", "numpy": r"numpy array.*a\.assign\(b\)"}


@pytest.mark.parametrize("name", ASKING)
def test_what_asks_for_values_is_named(backend, name):
    f = uk.function(ASKING[name], jit_compile=True if backend.falls_back else "auto")
    with pytest.raises(TraceError, match=NAMED.get(name)) as caught:
        f(ONES)
    line = (Choosing.call if name == "in a layer" else ASKING[name]).__code__.co_firstlineno
    line += name == "in a layer"
    assert f"test_traced_code.py:{line}. " in str(caught.value)
    assert "flat" not in str(caught.value)
    assert "@tf.function" not in str(caught.value)
    assert isinstance(caught.value, TypeError)
    assert caught.value.__cause__ is not None
    assert isinstance(caught.value, type(caught.value.__cause__))


BRANCHES = {
    "structures": lambda x: ops.cond(ops.sum(x) > 0, lambda: x, lambda: (x, x)),
    "none": lambda x: ops.cond(ops.sum(x) > 0, lambda: x, lambda: None),
    "dtypes": lambda x: ops.cond(ops.sum(x) > 0, lambda: x, lambda: ops.cast(x, "int32")),
}


@pytest.mark.parametrize("name", BRANCHES)
def test_branches_that_do_not_fit_are_named(backend, name):
    f = uk.function(BRANCHES[name], jit_compile=True if backend.falls_back else "auto")
    with pytest.raises(
        TraceError, match=r"branches that return different .* at .*test_traced_code\.py:\d+\. Return"
    ):
        f(ONES)


def test_a_loop_whose_state_changes_its_shape_is_named(backend):
    if backend.falls_back:  # a scan is a loop in Python there, whose state may have any shape
        return
    f = uk.function(lambda x: ops.scan(lambda carry, row: (carry[None], row), x[0], x))
    with pytest.raises(TraceError, match=r"body returns other shapes .* at .*test_traced_code\.py"):
        f(ONES)


def test_errors_of_the_users_are_their_own():
    class Own(Exception):
        pass

    def f(x):
        try:
            return float(x)
        except TypeError:
            raise Own("too bad") from None

    def fails(x):
        raise TypeError("float() argument must be something else")

    compiled = uk.function(f)
    with contextlib.suppress(Own), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert compiled(np.float32(2)) == 2.0  # where the function runs as Python
    with pytest.raises(TypeError, match="something else") as caught:
        uk.function(fails)(ONES)
    assert not isinstance(caught.value, TraceError)


def test_a_failed_trace_leaves_a_function_that_runs(backend):
    f = uk.function(lambda x, ask=False: x * (float(ops.sum(x)) if ask else 2.0))
    for _ in range(2):
        if not backend.falls_back:
            with pytest.raises(TraceError):
                f(ONES, ask=True)
        np.testing.assert_array_equal(numpy(f(ONES)), 2 * ONES)


# Arguments


@pytest.mark.parametrize(
    ("argument", "named"),
    [("input_signature", "traced by themselves"), ("static_argnums", "static_argnames"), ("speed", "speed")],
)
def test_arguments_of_other_frameworks_are_named(argument, named):
    with pytest.raises(ArgumentError, match=rf"static_argnames and donate, not {argument}.*") as caught:
        uk.function(**{argument: 0})
    assert named in str(caught.value)


def foreign_tensors(backend):
    """Give a tensor of a framework that does not run here, as far as one is installed."""
    import importlib.util

    if backend.name != "torch" and importlib.util.find_spec("torch"):
        import torch

        yield torch.ones(2)
    if backend.name != "jax" and importlib.util.find_spec("jax"):
        import jax

        yield jax.numpy.ones(2)


def test_tensors_of_another_framework_are_named(backend):
    f = uk.function(lambda x: x["a"])
    for tensor in foreign_tensors(backend):
        with pytest.raises(ArgumentError, match=rf"runs on {backend.name}. Pass a numpy array"):
            f({"a": tensor})


def test_what_cannot_choose_a_trace_is_named(backend):
    f = uk.function(lambda x, options: x)
    with pytest.raises(ArgumentError, match=r"argument 'options\[1\]' of .* is a set, .* hashable"):
        f(ONES, [1, {1, 2}])


def test_the_loss_of_keras_2_runs_everywhere():
    class Old(uk.Model):
        def train_step(self, data):
            x, y = data
            with uk.GradientTape() as tape:
                loss = self.compiled_loss(y, self(x, training=True))
            self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
            return {"old": loss}

    x = keras.Input((1,))
    model = Old(x, layers.Dense(1, use_bias=False, kernel_initializer="ones")(x))
    model.compile(keras.optimizers.SGD(0.0), "mse")
    with pytest.warns(DeprecationWarning, match="compute_loss"):
        history = model.fit(ONES[:, :1], 3 * ONES[:, :1], verbose=0)
    assert history.history["old"] == pytest.approx([4.0])

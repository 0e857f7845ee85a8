"""uk.debug: code that is compiled elsewhere runs as Python, stops in a debugger, and names its first NaN."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from helpers.arrays import numpy
from keras import layers, ops

import unikeras as uk
from unikeras.errors import NonFiniteError

pytestmark = pytest.mark.usefixtures("backend")


X, Y = np.linspace(-1, 1, 32).reshape(8, 4).astype("float32"), np.ones((8, 1), "float32")


class Seeing(layers.Dense):
    """A layer that asks for numbers in call(), as a debugger does."""

    seen = 0

    def call(self, inputs):
        outputs = super().call(inputs)
        if not isinstance(outputs, keras.KerasTensor) and not uk.backends.current().is_symbolic(outputs):
            float(numpy(outputs).sum())
            Seeing.seen += 1
        return outputs


class Stepping(uk.Model):
    def train_step(self, data):
        x, y = data
        with uk.GradientTape() as tape:
            loss = ops.mean((self(x, training=True) - y) ** 2)
        self.numbers.append(float(numpy(ops.stop_gradient(loss))))
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        return {"mse": loss}


def test_call_loss_and_step_have_values():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    model = Stepping(inputs, Seeing(1)(inputs))
    model.numbers = []

    def loss(y_true, y_pred):
        model.numbers.append(float(numpy(ops.stop_gradient(ops.sum(y_pred)))))
        return ops.mean((y_true - y_pred) ** 2)

    model.compile(keras.optimizers.SGD(0.1), loss)
    Seeing.seen = 0
    with uk.debug():
        model.fit(X, Y, batch_size=4, epochs=2, verbose=0)
        assert Seeing.seen == 4
        model.evaluate(X, Y, verbose=0)
        model.predict(X, verbose=0)
    assert len(model.numbers) == 5
    assert Seeing.seen == 6
    assert model.numbers[0] > model.numbers[3]


def network(*middle):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, name="first"), *middle, layers.Dense(1, name="last")]
    )


class Log(layers.Layer):
    def call(self, inputs):
        return ops.log(inputs)


class InfiniteSlope(layers.Layer):
    """Finite outputs, whose gradient at 0 is infinite."""

    def call(self, inputs):
        return ops.sqrt(ops.relu(inputs) * 0.0)


def test_a_nan_is_named_by_its_layer_and_step():
    model = uk.Model.from_keras(network(Log(name="bad")))
    model.compile("sgd", "mse")
    with (
        uk.debug(nans=True),
        pytest.raises(
            NonFiniteError,
            match=r"(NaN|Inf) in the output of layer '\S*bad', in call 1 of Sequential.train_step",
        ),
    ):
        model.fit(X, Y, batch_size=4, verbose=0)


def test_a_nan_of_the_backward_pass_is_named():
    model = uk.Model.from_keras(network(InfiniteSlope(name="steep")))
    model.compile("sgd", "mse")
    with (
        uk.debug(nans=True),
        pytest.raises(NonFiniteError, match=r"in the backward pass of layer '\S*steep', in call 1 of"),
    ):
        model.fit(X, Y, batch_size=4, verbose=0)


def test_the_step_is_counted():
    layer = layers.Dense(1, name="grows", kernel_initializer="ones")

    @uk.function
    def step(x):
        y = layer(x)
        layer.kernel.assign(layer.kernel * 1e30)
        return y

    x = np.ones((1, 2), "float32")
    with uk.debug(nans=True):
        step(x)
        step(x)
        with pytest.raises(NonFiniteError, match=r"layer 'grows', in call 3 of .*step"):
            step(x)


def test_masks_and_sound_numbers_pass():
    model = uk.Model.from_keras(
        keras.Sequential([layers.Embedding(5, 3, mask_zero=True), layers.LSTM(4), layers.Dense(1)])
    )
    model.compile("sgd", "mse")
    tokens = np.array([[1, 2, 0], [3, 0, 0]])
    want = model.predict(tokens, verbose=0)
    with uk.debug(nans=True):
        got = model.predict(tokens, verbose=0)
        model.fit(tokens, np.ones((2, 1)), verbose=0)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_afterwards_nothing_is_checked():
    model = network(Log(name="bad"))
    assert not np.isfinite(numpy(model(X))).all()

"""uk.accelerate: the same model, the same variables, other layers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

import unikeras as uk

X = np.random.default_rng(0).normal(size=(4, 6, 3)).astype("float32")


def sequential():
    return keras.Sequential(
        [
            keras.Input((6, 3)),
            layers.Masking(0.0),
            layers.LSTM(4, return_sequences=True, name="first"),
            layers.Bidirectional(layers.GRU(3, return_sequences=True), name="both"),
            layers.GRU(4, name="last"),
            layers.Dense(2, name="head"),
        ],
        name="sequential_of_mine",
    )


def functional():
    x = keras.Input((6, 3), name="x")
    shared = layers.LSTM(4, return_sequences=True, name="shared")
    inner = keras.Sequential([keras.Input((6, 4)), layers.GRU(4, name="nested")], name="inner")
    parts = layers.TimeDistributed(layers.LSTM(2, name="timed"), name="over_time")
    squares = layers.Reshape((6, 2, 2))(shared(layers.Dense(3)(x)))
    y = layers.Concatenate()([inner(shared(x)), layers.Flatten()(parts(squares))])
    return keras.Model(x, {"y": layers.Dense(2)(y) + 1.0, "z": ops.tanh(y)}, name="functional_of_mine")


def _all_layers(model):
    found = list(model._flatten_layers())
    return [layer for layer in found if isinstance(layer, layers.RNN)]


def _close(a, b):
    for one, other in zip(keras.tree.flatten(a), keras.tree.flatten(b), strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(one), ops.convert_to_numpy(other), rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("make", [sequential, functional])
def test_the_same_model_with_our_layers(make, tmp_path):
    model = make()
    fast = uk.accelerate(model)
    assert type(fast) is type(model)
    assert fast.name == model.name
    assert [layer.name for layer in fast.layers] == [layer.name for layer in model.layers]
    assert {type(layer).__module__ for layer in _all_layers(fast)} == {"unikeras.layers._recurrent_layers"}
    assert all(type(layer).__module__.startswith("keras") for layer in _all_layers(model))
    assert [id(weight) for weight in fast.weights] == [id(weight) for weight in model.weights]
    assert [id(v) for v in fast.variables] == [id(v) for v in model.variables]
    _close(fast(X), model(X))

    other = make()
    fast.save_weights(tmp_path / "fast.weights.h5")
    other.load_weights(tmp_path / "fast.weights.h5")
    _close(other(X), model(X))
    fast.save(tmp_path / "fast.keras")
    loaded = keras.saving.load_model(tmp_path / "fast.keras")
    assert [type(a) for a in _all_layers(loaded)] == [type(a) for a in _all_layers(fast)]
    _close(loaded(X), model(X))


def test_layers_that_are_not_exchanged_are_the_same_objects():
    model = sequential()
    fast = uk.accelerate(model)
    assert fast.get_layer("head") is model.get_layer("head")
    assert fast.get_layer("last") is not model.get_layer("last")
    assert fast.get_layer("last").cell is model.get_layer("last").cell


def test_what_trains_one_trains_the_other():
    model = sequential()
    model.compile("adam", "mse", metrics=["mae"])
    fast = uk.accelerate(model)
    assert fast.optimizer is model.optimizer
    y = np.ones((4, 2), "float32")
    before = model.predict(X, verbose=0)
    fast.fit(X, y, epochs=2, verbose=0)
    assert abs(model.predict(X, verbose=0) - before).max() > 1e-4
    _close(model.predict(X, verbose=0), fast.predict(X, verbose=0))
    model.fit(X, y, epochs=1, verbose=0)
    _close(model.predict(X, verbose=0), fast.predict(X, verbose=0))
    assert int(ops.convert_to_numpy(model.optimizer.iterations)) == 3


class Doubled(uk.Model):
    def train_step(self, data):
        x, y = data
        with uk.GradientTape() as tape:
            loss = 2 * ops.mean((self(x, training=True) - y) ** 2)
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        return {"doubled": loss * self.factor}


def test_classes_and_attributes_of_the_user_stay():
    x = keras.Input((6, 3))
    hidden = layers.LSTM(4)
    model = Doubled(x, layers.Dense(1)(hidden(x)))
    model.factor, model.hidden = 0.5, hidden
    model.compile("sgd")
    fast = uk.accelerate(model)
    assert type(fast) is type(model)
    assert type(fast.hidden) is uk.layers.LSTM
    assert len(fast.weights) == len(model.weights)
    history = fast.fit(X, np.ones((4, 1)), epochs=1, verbose=0).history
    assert list(history) == ["doubled"]
    assert type(uk.accelerate(uk.Model.from_keras(sequential()))) is type(uk.Model.from_keras(sequential()))


def test_the_memory_of_a_stateful_layer_is_shared():
    model = keras.Sequential([keras.Input((6, 3), batch_size=4), layers.LSTM(4, stateful=True)])
    fast = uk.accelerate(model)
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    _close([model(X), fast(X), model(X)], [twin(X), twin(X), twin(X)])
    fast.layers[0].reset_state()
    twin.layers[0].reset_state()
    _close(model(X), twin(X))


def test_frozen_layers_stay_frozen():
    model = sequential()
    model.get_layer("first").trainable = False
    model.get_layer("both").trainable = False
    fast = uk.accelerate(model)
    assert [id(v) for v in fast.trainable_variables] == [id(v) for v in model.trainable_variables]


def test_a_model_without_such_layers_is_itself():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    assert uk.accelerate(model) is model
    fast = uk.accelerate(sequential())
    assert uk.accelerate(fast) is fast


class Alone(keras.Model):
    def call(self, x):
        return x


@pytest.mark.parametrize(
    ("model", "word"),
    [
        (3, "int"),
        (Alone(), "uk.layers.LSTM"),
        (keras.Sequential([layers.LSTM(3)]), "keras.Input"),
    ],
)
def test_what_has_no_graph_is_refused(model, word):
    with pytest.raises((uk.errors.ArgumentError, uk.errors.ArgumentValueError), match=word):
        uk.accelerate(model)

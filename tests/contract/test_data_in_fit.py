"""A source of batches in fit, evaluate, predict and in a loop of one's own."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import unikeras as uk
from unikeras.errors import ArgumentError, ArgumentValueError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(10, 3)).astype("float32")
Y = RNG.integers(0, 2, (10, 1)).astype("float32")


def _model(kind):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.set_weights([np.ones((3, 1), "float32"), np.zeros(1, "float32")])
    model = uk.Model.from_keras(model) if kind == "uk" else model
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse", metrics=["mae"])
    return model


def _source(threads=0, seed=3, log=None):
    source = uk.data.from_arrays(X, Y)
    if log is not None:
        source = source.augment(lambda x, y, generator: (log.append(int(np.where(x == X)[0][0])) or x, y))
    return source.shuffle(seed).batch(4).prefetch(threads)


def _place(source):
    return source.state["epoch"], source.state["batch"]


class _Places(keras.callbacks.Callback):
    def __init__(self, source):
        super().__init__()
        self.places, self.source = [], source

    def on_train_begin(self, logs=None):
        self.places.append(_place(self.source))

    def on_train_batch_end(self, batch, logs=None):
        self.places.append(_place(self.source))

    def on_epoch_end(self, epoch, logs=None):
        self.places.append(_place(self.source))


KINDS = pytest.mark.parametrize("kind", ["uk", "keras"])


@KINDS
@pytest.mark.parametrize("threads", [0, 2])
def test_fit_trains_on_the_batches_of_each_epoch_in_order(kind, threads):
    expected = _model(kind)
    for epoch in range(2):
        for x, y in _source().read_epoch(epoch):
            expected.train_on_batch(x, y)
    model, source = _model(kind), _source(threads)
    model.fit(source, epochs=2, verbose=0)
    for weight, other in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(weight, other, rtol=1e-5, atol=1e-6)
    assert _place(source) == (2, 0)
    model.fit(source, epochs=1, verbose=0)
    assert _place(source) == (3, 0)


@KINDS
def test_only_training_moves_the_source(kind):
    model, source = _model(kind), _source()
    model.evaluate(source, verbose=0)
    model.predict(source, verbose=0)
    assert _place(source) == (0, 0)
    model.fit(_source(), validation_data=source, epochs=2, verbose=0)
    assert _place(source) == (0, 0)
    model.fit(source, validation_data=source, epochs=2, verbose=0)
    assert _place(source) == (2, 0)


@KINDS
def test_predictions_are_in_the_order_before_the_shuffle(kind):
    model = _model(kind)
    np.testing.assert_allclose(
        model.predict(_source(threads=2), verbose=0), model.predict(X, verbose=0), rtol=1e-5
    )
    logs = model.evaluate(_source(), verbose=0, return_dict=True)
    assert logs == pytest.approx(model.evaluate(X, Y, batch_size=4, verbose=0, return_dict=True), rel=1e-4)


@pytest.mark.parametrize("threads", [0, 3])
def test_callbacks_see_the_position_of_what_was_trained_on(threads):
    source = _source(threads)
    callback = _Places(source)
    _model("uk").fit(source, epochs=2, verbose=0, callbacks=[callback])
    assert callback.places == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (1, 3), (2, 0)]


def test_fit_goes_on_in_the_middle_of_an_epoch():
    source = _source()
    source.restore(source.state | {"batch": 1})
    callback = _Places(source)
    _model("uk").fit(source, epochs=2, verbose=0, callbacks=[callback])
    assert callback.places == [(0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (1, 3), (2, 0)]


def test_steps_per_epoch_go_on_in_the_pass():
    source = _source()
    callback = _Places(source)
    _model("uk").fit(source, epochs=3, steps_per_epoch=1, verbose=0, callbacks=[callback])
    assert callback.places == [(0, 0), (0, 1), (0, 1), (0, 2), (0, 2), (0, 3), (1, 0)]


@KINDS
def test_without_shuffle_fit_reads_in_order_and_moves(kind):
    log = []
    source = _source(log=log)
    model = _model(kind)
    model.predict(X, verbose=0)
    log.clear()
    model.fit(source, shuffle=False, verbose=0)
    assert log[-10:] == list(range(10))
    assert _place(source) == (1, 0)


@KINDS
def test_class_weights_are_those_of_arrays(kind):
    weights = uk.data.from_arrays(X, Y).class_weight()
    model, other = _model(kind), _model(kind)
    source = uk.data.from_arrays(X, Y).batch(5)
    history = model.fit(source, class_weight=weights, verbose=0).history
    expected = other.fit(X, Y, batch_size=5, shuffle=False, class_weight=weights, verbose=0).history
    assert history["loss"] == pytest.approx(expected["loss"], rel=1e-4)


@KINDS
def test_sample_weights_and_structures(kind):
    inputs = {"a": keras.Input((3,), name="a"), "b": keras.Input((3,), name="b")}
    output = keras.layers.Dense(1)(keras.layers.Add()([inputs["a"], inputs["b"]]))
    make = uk.Model if kind == "uk" else keras.Model
    model = make(inputs, output)
    model.compile("sgd", "mse")
    source = uk.data.from_arrays({"a": X, "b": X}, Y, np.ones(10, "float32")).batch(4)
    assert np.isfinite(model.fit(source, verbose=0).history["loss"]).all()
    assert model.predict(source.map(lambda x, y, w: x), verbose=0).shape == (10, 1)


def test_a_list_of_inputs_is_no_pair():
    inputs = [keras.Input((3,)), keras.Input((3,))]
    model = uk.Model(inputs, keras.layers.Subtract()(inputs))
    predicted = model.predict(uk.data.from_arrays([X, X * 3]).batch(4), verbose=0)
    np.testing.assert_allclose(predicted, X * -2, rtol=1e-6)


@KINDS
def test_padded_batches_of_any_length(kind):
    items = [(np.ones((length, 3), "float32"), np.float32(length)) for length in (2, 2, 2, 2, 7, 3)]
    layers = [keras.Input((None, 3)), keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model = uk.Model.from_keras(model) if kind == "uk" else model
    model.compile("sgd", "mse")
    source = uk.data.from_source(items).batch(2, pad=0)
    assert np.isfinite(model.fit(source, epochs=2, verbose=0).history["loss"]).all()


def test_a_loop_of_ones_own():
    model = _model("uk")
    optimizer = keras.optimizers.SGD(0.1)

    @uk.function
    def step(x, y):
        with uk.GradientTape() as tape:
            loss = keras.ops.mean((model(x, training=True) - y) ** 2)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    losses = [float(step(x, y)) for _ in range(5) for x, y in uk.data.from_arrays(X, Y).batch(5).prefetch(2)]
    assert losses[-1] < losses[0]


def test_a_source_is_a_data_set_of_keras():
    assert isinstance(_source(), keras.utils.PyDataset)
    assert _source().num_batches == 3


@KINDS
def test_what_fit_cannot_take_is_refused_by_name(kind):
    model = _model(kind)
    with pytest.raises(ArgumentValueError, match="parts of a source's batches"):
        model.fit(_source(), Y, verbose=0)
    with pytest.raises(ArgumentError, match=r"call .batch\(32\)"):
        model.fit(uk.data.from_arrays(X, Y), verbose=0)
    with pytest.raises(ArgumentError, match=r"call .batch\(32\)"):
        model.fit(_source(), validation_data=uk.data.from_arrays(X, Y), verbose=0)


def test_an_error_in_the_data_leaves_fit_as_it_is():
    from unikeras.errors import DatasetError

    source = uk.data.from_arrays(X, Y).map(
        lambda x, y: (x / int(x[0] != X[7, 0]), int("x") if x[0] == X[7, 0] else y)
    )
    with pytest.raises(DatasetError, match="failed at example 7 of arrays"):
        _model("uk").fit(source.batch(2).prefetch(2), verbose=0)

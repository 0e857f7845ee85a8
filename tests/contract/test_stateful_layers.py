"""What `stateful=True` layers remember: as Keras documents it, on each backend, in files of its own."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from helpers.arrays import numpy
from keras import layers

import unikeras as uk
from unikeras.errors import ArgumentError, ArtifactNotFound, CorruptArtifact, StateError

X = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")


def remembered(model):
    states = [layer.states for layer in model._flatten_layers() if getattr(layer, "states", None)]
    return [numpy(variable) for variable in keras.tree.flatten(states)]


def model_of(units=4, batch=2, cls=keras.Model):
    x = keras.Input(batch_shape=(batch, None, 3))
    inner = keras.Sequential(
        [keras.Input(batch_shape=(batch, None, 3)), layers.GRU(3, stateful=True, return_sequences=True)]
    )
    both = layers.Bidirectional(layers.LSTM(units, stateful=True, return_sequences=True))
    cells = layers.RNN([layers.LSTMCell(units), layers.SimpleRNNCell(2)], stateful=True)
    model = cls(x, cells(both(inner(x))))
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape) for w in model.weights])
    return model


@pytest.mark.parametrize("ask", ["call", "predict", "predict_on_batch"])
def test_memory_is_saved_and_loaded(tmp_path, ask):
    model = model_of(cls=uk.Model)
    options = {"verbose": 0, "batch_size": 2} if ask == "predict" else {}

    def answer(one):
        return numpy(one(X) if ask == "call" else getattr(one, ask)(X, **options))

    first = answer(model)
    uk.save_state(model, tmp_path / "memory.safetensors")
    second = answer(model)
    assert np.abs(first - second).max() > 1e-3
    other = model_of(cls=uk.Model)
    uk.load_state(other, tmp_path / "memory.safetensors")
    np.testing.assert_allclose(answer(other), second, atol=1e-6)
    uk.load_state(model, tmp_path / "memory.safetensors")
    np.testing.assert_allclose(answer(model), second, atol=1e-6)
    uk.reset_state(model)
    np.testing.assert_allclose(answer(model), first, atol=1e-6)


def test_fit_and_evaluate_go_on_from_what_is_remembered():
    x, y = np.concatenate([X, X, X]), np.zeros((6, 2), "float32")
    model = model_of(cls=uk.Model)
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")
    losses = []
    for _ in range(2):
        uk.reset_state(model)
        by_batch = [model.evaluate(x[at : at + 2], y[at : at + 2], verbose=0) for at in (0, 2, 4)]
        uk.reset_state(model)
        losses.append((np.mean(by_batch), model.evaluate(x, y, batch_size=2, verbose=0)))
        uk.reset_state(model)
        fitted = model.fit(x, y, batch_size=2, verbose=0, shuffle=False).history["loss"][0]
        losses.append((np.mean(by_batch), fitted))
    np.testing.assert_allclose([one for one, _ in losses], [other for _, other in losses], rtol=1e-5)
    assert by_batch[0] != by_batch[1]


def test_the_weights_file_stays_kerass(tmp_path):
    model = model_of()
    model(X)
    names = [weight.path.rpartition("/")[2] for weight in model.weights]
    uk.save_state(model, tmp_path / "memory.safetensors")
    assert names == [weight.path.rpartition("/")[2] for weight in model.weights]
    model.save_weights(tmp_path / "m.weights.h5")
    plain = model_of()
    plain.load_weights(tmp_path / "m.weights.h5")


def test_what_cannot_be_loaded_changes_nothing(tmp_path):
    model, path = model_of(), tmp_path / "memory.safetensors"
    model(X)
    uk.save_state(model, path)
    held = remembered(model)
    whole = path.read_bytes()
    cases = {
        "none": None,
        "cut": whole[:-7],
        "empty": b"",
        "noise": b"\xff" * 200,
        "flipped": whole[:-3] + b"abc",
    }
    for name, content in cases.items():
        file = tmp_path / name
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(ArtifactNotFound if content is None else CorruptArtifact, match=name):
            uk.load_state(model, file)
    with pytest.raises(CorruptArtifact, match=r"model .*functional"):
        uk.load_state(model_of(units=5), path)
    with pytest.raises(CorruptArtifact):
        uk.load_state(model_of(batch=3), path)
    after = remembered(model)
    for one, other in zip(held, after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_models_that_remember_nothing_are_refused(tmp_path):
    plain = keras.Sequential([keras.Input((None, 3)), layers.LSTM(2)])
    unbuilt = keras.Sequential([layers.LSTM(2, stateful=True)])
    for call in (
        lambda m: uk.save_state(m, tmp_path / "x"),
        lambda m: uk.load_state(m, tmp_path / "x"),
        uk.reset_state,
    ):
        with pytest.raises(StateError, match=r"no layer with stateful=True.*uk\.stateful"):
            call(plain)
        with pytest.raises(ArgumentError, match="received int"):
            call(3)
    with pytest.raises(StateError, match="is not built"):
        uk.save_state(unbuilt, tmp_path / "x")
    uk.reset_state(unbuilt)
    assert not list(tmp_path.iterdir())

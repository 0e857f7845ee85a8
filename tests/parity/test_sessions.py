"""Conversations that go from backend to backend, a turn here and a turn there."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import unikeras as uk

VOCABULARY = 12
LENGTHS = (1, 7, 32)


def make(path):
    """Write a model whose memory has two layers, one in a nested model; return its fingerprint."""
    import keras
    from keras import layers

    import unikeras as uk

    keras.utils.set_random_seed(0)
    inner = keras.Sequential([keras.Input((None, 5)), layers.GRU(4, return_sequences=True)], name="inner")
    x = keras.Input((None,), dtype="int32")
    h = layers.LSTM(6, return_sequences=True)(layers.Embedding(VOCABULARY, 5, mask_zero=True)(x))
    model = keras.Model(x, layers.Dense(VOCABULARY)(inner(layers.Dense(5)(h))))
    model.save(path)
    return uk.stateful(model).fingerprint


def answer(path, x):
    """Return what the model says of whole sequences."""
    import keras

    model = keras.saving.load_model(path)
    return [keras.ops.convert_to_numpy(model(one)) for one in x]


def turn(path, store, x):
    """Take one turn of several sessions; return what was said, and the model's fingerprint here."""
    import keras

    import unikeras as uk

    step = uk.stateful(keras.saving.load_model(path))
    with uk.memory.Sessions(step, store=store) as chats:
        return chats.step(x), step.fingerprint


@pytest.mark.parametrize("order", list(itertools.permutations(uk.backends.available()))[::2])
def test_sessions_go_on_under_another_backend(order, tmp_path):
    path, store = str(tmp_path / "model.keras"), str(tmp_path / "memory.db")
    fingerprint = uk.run_on(order[0], make, path)
    rng = np.random.default_rng(0)
    whole = {
        name: rng.integers(0, VOCABULARY, (1, length)) for name, length in (("a", 40), ("b", 33), ("c", 8))
    }
    said = {name: [] for name in whole}
    at = dict.fromkeys(whole, 0)
    for backend, length in zip(order, LENGTHS, strict=False):
        batch = {
            name: x[:, at[name] : at[name] + length] for name, x in whole.items() if at[name] < x.shape[1]
        }
        at = {name: at[name] + length for name in whole}
        outputs, here = uk.run_on(backend, turn, path, store, batch)
        assert here == fingerprint
        for name, y in outputs.items():
            said[name].append(y)
    expected = uk.run_on(order[0], answer, path, list(whole.values()))
    for parts, one_shot in zip(said.values(), expected, strict=True):
        np.testing.assert_allclose(np.concatenate(parts, 1), one_shot, atol=1e-5)

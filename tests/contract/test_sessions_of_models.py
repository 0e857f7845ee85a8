"""Conversations with Keras models: interleaved, batched, kept in a file, equal to one shot."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from helpers.arrays import numpy
from keras import layers

import unikeras as uk
from unikeras.errors import CannotStream, CorruptSession, SessionMismatch

VOCABULARY = 12


def language_model(seed=1, masked=False):
    x = keras.Input((None,), dtype="int32")
    h = layers.Embedding(VOCABULARY, 5, mask_zero=masked)(x)
    h = layers.LSTM(6, return_sequences=True)(h)
    h = layers.GRU(4, return_sequences=True)(h)
    model = keras.Model(x, layers.Dense(VOCABULARY)(h))
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=w.shape) for w in model.weights])
    return model


def texts(*lengths):
    rng = np.random.default_rng(0)
    return {
        f"session {number}": rng.integers(0, VOCABULARY, (1, length)) for number, length in enumerate(lengths)
    }


@pytest.mark.parametrize("masked", [False, True])
def test_interleaved_sessions_equal_one_shot(tmp_path, masked):
    model = language_model(masked=masked)
    whole = texts(40, 33, 8)
    with uk.memory.Sessions(model, store=tmp_path / "memory.db") as chats:
        said = {name: [] for name in whole}
        turns = {name: iter((1, 7, 32)) for name in whole}
        at = dict.fromkeys(whole, 0)
        while left := [name for name in whole if at[name] < whole[name].shape[1]]:
            batch = {}
            for name in left:
                length = next(turns[name])
                batch[name] = whole[name][:, at[name] : at[name] + length]
                at[name] += length
            for name, y in chats.step(batch).items():
                said[name].append(y)
    for name, x in whole.items():
        joined = np.concatenate(said[name], axis=1)
        np.testing.assert_allclose(joined, numpy(model(x)), atol=1e-5)


def test_a_batched_call_is_each_session_alone():
    model = language_model()
    turns = texts(3, 1, 8, 5, 2)
    together, alone = (uk.memory.Sessions(model, store="memory:") for _ in range(2))
    for _ in range(2):
        ys = together.step(turns)
        assert list(ys) == list(turns)
        for name, x in turns.items():
            np.testing.assert_allclose(ys[name], alone.step(name, x), atol=1e-5)
    for name in turns:
        for layer, parts in together.state(name).items():
            for part, value in parts.items():
                np.testing.assert_allclose(value, alone.state(name)[layer][part], atol=1e-5)


def test_the_same_model_in_another_process_goes_on(tmp_path):
    model = language_model()
    x = texts(10)["session 0"]
    with uk.memory.Sessions(model, store=tmp_path / "memory.db") as chats:
        chats.step("alice", x[:, :4])
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    with uk.memory.Sessions(uk.stateful(again), store=tmp_path / "memory.db") as chats:
        np.testing.assert_allclose(chats.step("alice", x[:, 4:]), numpy(model(x))[:, 4:], atol=1e-5)


def test_a_model_that_learned_more_is_another(tmp_path):
    x = texts(4)["session 0"]
    with uk.memory.Sessions(language_model(), store=tmp_path / "memory.db") as chats:
        chats.step("alice", x)
    with uk.memory.Sessions(language_model(seed=2), store=tmp_path / "memory.db") as chats:
        with pytest.raises(SessionMismatch, match="alice"):
            chats.step({"alice": x, "bob": x})
        chats.step("bob", x)
        chats.reset("alice")
        chats.step("alice", x)


def test_a_hostile_row_names_its_session(tmp_path):
    store = uk.memory.SQLiteStore(tmp_path / "memory.db")
    chats = uk.memory.Sessions(language_model(), store=store)
    x = texts(4)["session 0"]
    chats.step(dict.fromkeys(("good", "cut", "nan"), x))
    rows = store.read(["cut", "nan"])
    store.write({"cut": (rows["cut"].version, rows["cut"].blob[:-3])})
    blob = rows["nan"].blob
    store.write({"nan": (rows["nan"].version, blob[:-4] + np.float32(np.nan).tobytes())})
    with pytest.raises(CorruptSession, match=r"(?s)cut.*nan|nan.*cut"):
        chats.step(dict.fromkeys(("good", "cut", "nan"), x))
    chats.step("good", x)


def test_models_that_mix_time_have_no_sessions():
    model = keras.Sequential(
        [keras.Input((None, 3)), layers.LSTM(4, return_sequences=True), layers.Conv1D(2, 3, name="mixes")]
    )
    with pytest.raises(CannotStream, match="mixes"):
        uk.memory.Sessions(model, store="memory:")

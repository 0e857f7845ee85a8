"""Recurrent models and their exports as steps, for workers under each backend."""

from __future__ import annotations

from pathlib import Path

import numpy as np

BATCH, LENGTH, WORDS = 2, 100, 12


def lstm():
    """Many to many."""
    import keras
    from keras import layers

    stack = [keras.Input((None, 3)), layers.LSTM(6, return_sequences=True, name="lstm"), layers.Dense(2)]
    return keras.Sequential(stack, name="lstm")


def tokens():
    """Two layers under a mask, on tokens of which some are padding."""
    import keras
    from keras import layers

    stack = [
        keras.Input((None,), dtype="int32"),
        layers.Embedding(WORDS, 4, mask_zero=True),
        layers.LSTM(6, return_sequences=True, name="lstm"),
        layers.GRU(5, return_sequences=True, name="gru"),
        layers.Dense(3),
    ]
    return keras.Sequential(stack, name="tokens")


def head():
    """One output for the whole sequence, of the fused layers."""
    import keras

    import unikeras as uk

    stack = [
        keras.Input((None, 3)),
        uk.layers.GRU(6, return_sequences=True, name="gru"),
        uk.layers.LSTM(5, name="lstm"),
        keras.layers.Dense(2),
    ]
    return keras.Sequential(stack, name="head")


def nested():
    """A recurrent layer inside a model inside the model."""
    import keras
    from keras import layers

    deep = layers.LSTM(5, return_sequences=True, name="deep")
    inner = keras.Sequential([keras.Input((None, 4)), deep, layers.Dense(4)], name="inner")
    x = keras.Input((None, 3))
    shallow = layers.SimpleRNN(4, return_sequences=True, name="shallow")
    return keras.Model(x, layers.Dense(2)(shallow(inner(layers.Dense(4)(x)))), name="nested")


def simple():
    """The plainest cell, unlike the others a state that an activation bounds."""
    import keras
    from keras import layers

    stack = [keras.Input((None, 3)), layers.SimpleRNN(6, return_sequences=True, name="rnn"), layers.Dense(2)]
    return keras.Sequential(stack, name="simple")


def several():
    """Inputs and outputs with and without a time, by name."""
    import keras
    from keras import layers

    left, context = keras.Input((None, 3), name="left"), keras.Input((2,), name="context")
    sequence = layers.LSTM(4, return_sequences=True, name="lstm")(left)
    last = layers.GRU(4, name="gru")(sequence)
    outputs = {"tags": layers.Dense(2)(sequence), "sum": layers.Concatenate()([last, context])}
    return keras.Model({"left": left, "context": context}, outputs, name="several")


KINDS = {model.__name__: model for model in (lstm, tokens, head, nested, simple, several)}


def inputs(kind: str):
    """Return a sequence of `LENGTH` steps, as the model takes it."""
    rng = np.random.default_rng(1)
    if kind == "tokens":
        return rng.integers(0, WORDS, (BATCH, LENGTH)).astype("int32")
    x = rng.normal(size=(BATCH, LENGTH, 3)).astype("float32")
    return {"left": x, "context": x[:, 0, :2]} if kind == "several" else x


def export(kind: str, folder: str, formats: list[str]):
    """Export a model as a step; return what the model itself says of whole sequences, and the report.

    A conversation is begun here as well, over seven steps: its memory comes back, and that of its first
    sequence is kept in the folder as a session's.
    """
    import keras

    import unikeras as uk

    keras.utils.set_random_seed(4)
    model = KINDS[kind]()
    step = uk.stateful(model)
    report = uk.export_model(step, Path(folder), formats).to_dict()
    x = inputs(kind)
    whole = {length: _numpy(model(cut(x, 0, length), training=False)) for length in (40, LENGTH)}
    _, state = step(cut(x, 0, 7), step.initial_state(BATCH))
    if not isinstance(x, dict):
        with uk.memory.Sessions(step, store=Path(folder, "memory.db")) as chats:
            chats.step("alice", cut(x[:1], 0, 7))
    return report, whole, _numpy(state)


def cut(x, start: int, stop: int):
    """Return some steps of what `inputs` returns."""
    if isinstance(x, dict):
        return {name: cut(array, start, stop) if array.ndim > 2 else array for name, array in x.items()}
    return x[:, start:stop]


def _numpy(value):
    import keras

    return keras.tree.map_structure(keras.ops.convert_to_numpy, value)

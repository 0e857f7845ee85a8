"""Recurrent layers: every option, any mask, and time that stays open in every export."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

CELLS = {
    "lstm": layers.LSTM,
    "gru": layers.GRU,
    "gru reset before": lambda *a, **k: layers.GRU(*a, reset_after=False, **k),
    "rnn": layers.SimpleRNN,
}
OPTIONS = [
    {},
    {"return_sequences": True},
    {"go_backwards": True, "return_sequences": True},
    {"return_state": True},
    {"use_bias": False, "return_sequences": True},
    {"activation": "relu"},
]
MASKS = np.array(
    [
        [1, 1, 1, 1, 1, 1],
        [1, 1, 1, 0, 0, 0],
        [0, 0, 1, 1, 0, 1],
        [0, 0, 0, 0, 0, 0],
        [1, 0, 1, 0, 1, 0],
        [0, 1, 1, 1, 1, 1],
    ]
)


def tokens(batch, length):
    """Return words of which 0 stands for none, in all patterns."""
    rng = np.random.default_rng(batch)
    mask = np.resize(MASKS, (batch, length)) if length != 6 else MASKS[:batch]
    return (rng.integers(1, 9, (batch, length)) * mask).astype("int32")


@pytest.mark.parametrize("recurrence", ["kernel", "scan"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_a_recurrent_layer(cell, options, recurrence, lowered, floats):
    inputs = keras.Input((None, 4))
    model = keras.Model(inputs, CELLS[cell](5, **options)(inputs))
    lowered(model, floats(1, 7, 4), floats(3, 2, 4), recurrence=recurrence)


@pytest.mark.parametrize("recurrence", ["kernel", "scan"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"return_sequences": True},
        {"return_sequences": True, "return_state": True},
        {"return_sequences": True, "go_backwards": True},
        {"return_sequences": True, "zero_output_for_mask": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("cell", CELLS)
def test_any_mask(cell, options, recurrence, lowered):
    words = keras.Input((None,), dtype="int32")
    model = keras.Model(words, CELLS[cell](5, **options)(layers.Embedding(9, 4, mask_zero=True)(words)))
    lowered(model, tokens(6, 6), tokens(3, 11), recurrence=recurrence)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_an_initial_state(cell, lowered, floats):
    x, *states = keras.Input((None, 4)), *(keras.Input((5,)) for _ in range(2 if cell == "lstm" else 1))
    outputs = CELLS[cell](5, return_sequences=True, return_state=True)(x, initial_state=states)
    model = keras.Model([x, *states], outputs)
    lowered(model, [floats(2, 3, 4), *(floats(2, 5) for _ in states)])


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_an_initial_state_under_a_mask(cell, lowered, floats):
    x, mask = keras.Input((None, 4)), keras.Input((None,), dtype="bool")
    states = [keras.Input((5,)) for _ in range(2 if cell == "lstm" else 1)]
    outputs = CELLS[cell](5, return_sequences=True, return_state=True)(x, initial_state=states, mask=mask)
    model = keras.Model([x, mask, *states], outputs)
    lowered(model, [floats(6, 6, 4), MASKS.astype(bool), *(floats(6, 5) for _ in states)])


@pytest.mark.parametrize("mode", ["concat", "sum", "ave", "mul", None])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_both_ways(mode, sequences, masked, lowered):
    words = keras.Input((None,), dtype="int32")
    layer = layers.Bidirectional(layers.LSTM(5, return_sequences=sequences), merge_mode=mode)
    model = keras.Model(words, layer(layers.Embedding(9, 4, mask_zero=masked)(words)))
    lowered(model, tokens(6, 6))


def test_both_ways_with_states(lowered, floats):
    x = keras.Input((None, 4))
    outputs = layers.Bidirectional(layers.GRU(5, return_sequences=True, return_state=True))(x)
    lowered(keras.Model(x, outputs), floats(2, 3, 4))


def test_masking_and_layers_that_pass_a_mask_on(lowered, floats):
    x = keras.Input((6, 4))
    y = layers.Masking()(x)
    y = layers.Dropout(0.5)(layers.TimeDistributed(layers.Dense(5))(y))
    y = layers.LSTM(5, return_sequences=True)(y)
    model = keras.Model(x, layers.GRU(3)(layers.LayerNormalization()(y)))
    lowered(model, floats(6, 6, 4) * MASKS[..., None].astype("float32"))


def test_a_cell_on_its_own(lowered, floats):
    lowered(
        keras.Sequential([keras.Input((5, 4)), layers.RNN(layers.LSTMCell(3), return_sequences=True)]),
        floats(2, 5, 4),
    )


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("recurrence", ["kernel", "scan"])
def test_stacked_cells(recurrence, backwards, lowered, floats):
    cells = [layers.LSTMCell(3), layers.GRUCell(4), layers.SimpleRNNCell(2)]
    x = keras.Input((None, 4))
    outputs = [
        layers.RNN(layers.StackedRNNCells(cells), return_sequences=sequences, go_backwards=backwards)(x)
        for sequences in (False, True)
    ]
    lowered(keras.Model(x, outputs), floats(2, 5, 4), recurrence=recurrence)


@pytest.mark.parametrize(
    "inner",
    [
        lambda: layers.Dense(3),
        lambda: layers.Conv2D(3, 2),
        lambda: keras.Sequential([keras.Input((6, 6, 2)), layers.Conv2D(3, 2), layers.Flatten()]),
    ],
)
def test_time_distributed(inner, lowered, floats):
    model = keras.Sequential([keras.Input((None, 6, 6, 2)), layers.TimeDistributed(inner())])
    lowered(model, floats(2, 3, 6, 6, 2), floats(1, 5, 6, 6, 2))


@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_step_under_a_mask_repeats_what_came_before_it(cell, sequences, lowered, floats):
    """A chunk that begins with padding says what the chunk before it said last."""
    import unikeras as uk

    inputs = keras.Input((None,), dtype="int32")
    embedded = layers.Embedding(9, 4, mask_zero=True)(inputs)
    layer = CELLS[cell](5, return_sequences=sequences, name="layer")
    step = uk.stateful(keras.Model(inputs, layer(embedded)))
    memory = {spec.input_name: floats(6, *spec.shape) for spec in step.states}
    lowered(step.model, {"x": tokens(6, 6), **memory})

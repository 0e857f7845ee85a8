"""Recurrent layers: each cell, both directions, stacked, masked, with a dynamic and with a fixed length."""

from __future__ import annotations

import keras
from keras import layers

from helpers.corpus._branches import branches


def cells_fixed():
    return branches(
        (6, 4),
        layers.SimpleRNN(5, activation="relu"),
        layers.LSTM(5, go_backwards=True, use_bias=False),
        layers.GRU(5, reset_after=False, return_sequences=True),
        layers.RNN(layers.StackedRNNCells([layers.LSTMCell(3), layers.GRUCell(4)])),
    )


def simple_rnn():
    return branches((None, 4), layers.SimpleRNN(5, return_sequences=True), layers.SimpleRNN(5))


def gru():
    return branches((None, 4), layers.GRU(5, return_sequences=True), layers.GRU(5, reset_after=False))


def bidirectional_lstm():
    return branches(
        (None, 4),
        layers.Bidirectional(layers.LSTM(5, return_sequences=True)),
        layers.Bidirectional(layers.LSTM(5), merge_mode="sum"),
    )


def bidirectional_gru():
    return branches(
        (None, 4),
        layers.Bidirectional(layers.GRU(5, return_sequences=True), merge_mode="ave"),
        layers.Bidirectional(layers.GRU(5)),
    )


def stacked():
    stack = [
        layers.Bidirectional(layers.LSTM(5, return_sequences=True)),
        layers.GRU(6, return_sequences=True),
    ]
    return keras.Sequential(
        [keras.Input((None, 4)), *stack, layers.Dropout(0.3), layers.LSTM(4), layers.Dense(2)]
    )


def masked_gru():
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(9, 4, mask_zero=True)(tokens)
    sequence, state = layers.GRU(5, return_sequences=True, return_state=True)(x)
    return keras.Model(tokens, [layers.Dense(3)(sequence), layers.Dense(2)(state)])


def masked_bidirectional():
    tokens = keras.Input((8,), dtype="int32", name="tokens")
    x = layers.Embedding(9, 4, mask_zero=True)(tokens)
    x = layers.Bidirectional(layers.LSTM(5, return_sequences=True))(x)
    return keras.Model(tokens, layers.Bidirectional(layers.GRU(3))(x))


def sequence_to_sequence():
    source = keras.Input((None, 4), name="source")
    target = keras.Input((None, 3), name="target")
    _, *state = layers.LSTM(5, return_state=True)(source)
    decoded = layers.LSTM(5, return_sequences=True)(target, initial_state=state)
    return keras.Model([source, target], layers.Dense(2, "softmax")(decoded))


def conv_lstm():
    films = layers.ConvLSTM2D(3, 3, padding="same", return_sequences=True)
    return keras.Sequential(
        [keras.Input((4, 6, 7, 2)), films, layers.ConvLSTM2D(2, (2, 3)), layers.Flatten()]
    )


def time_distributed():
    pictures = keras.Sequential(
        [keras.Input((6, 6, 2)), layers.Conv2D(3, 2, activation="relu"), layers.Flatten()]
    )
    stack = [layers.TimeDistributed(pictures), layers.TimeDistributed(layers.Dense(4)), layers.LSTM(3)]
    return keras.Sequential([keras.Input((None, 6, 6, 2)), *stack])


MODELS = {
    make.__name__: make
    for make in (
        cells_fixed,
        simple_rnn,
        gru,
        bidirectional_lstm,
        bidirectional_gru,
        stacked,
        masked_gru,
        masked_bidirectional,
        sequence_to_sequence,
        conv_lstm,
        time_distributed,
    )
}

"""Layers with weights that few models have."""

from __future__ import annotations

import keras
from keras import layers

from helpers.corpus._branches import branches


def conv_lstm_1d():
    return branches((4, 7, 2), layers.ConvLSTM1D(3, 3, padding="same"))


def conv_lstm_3d():
    return branches((3, 4, 5, 3, 2), layers.ConvLSTM3D(2, 2, padding="same"))


def tied_words():
    """Return a model that reads words and scores each word by the table that it read them from."""
    tokens = keras.Input((6,), dtype="int32", name="tokens")
    table = layers.ReversibleEmbedding(12, 5)
    return keras.Model(tokens, table(layers.Dense(5, "tanh")(table(tokens)), reverse=True))


def spectrogram():
    return branches((64, 1), layers.STFTSpectrogram(frame_length=16, frame_step=8, fft_length=16))


MODELS = {make.__name__: make for make in (conv_lstm_1d, conv_lstm_3d, tied_words, spectrogram)}

"""Half precision: all of a model, its arithmetic alone, and parts of it."""

from __future__ import annotations

import functools

import keras
from keras import layers


def _mlp(dtype):
    def make():
        norms = layers.BatchNormalization(), layers.LayerNormalization()
        return keras.Sequential([keras.Input((6,)), layers.Dense(8, "relu"), *norms, layers.Dense(3)])

    return _under(dtype, make)


def _cnn(dtype):
    def make():
        x = keras.Input((9, 8, 3), name="x")
        y = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
        y = layers.GlobalAveragePooling2D()(layers.MaxPooling2D()(layers.BatchNormalization()(y)))
        return keras.Model(x, layers.Dense(2, dtype="float32")(y))

    return _under(dtype, make)


def _lstm(dtype):
    def make():
        stack = [layers.LSTM(5, return_sequences=True), layers.Bidirectional(layers.GRU(3))]
        return keras.Sequential([keras.Input((6, 4)), *stack, layers.Dense(2, dtype="float32")])

    return _under(dtype, make)


def _under(dtype, make):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        return make()
    finally:
        keras.config.set_dtype_policy(before)


MODELS = {
    "float16": functools.partial(_mlp, "float16"),
    "bfloat16": functools.partial(_mlp, "bfloat16"),
    "mixed_float16": functools.partial(_cnn, "mixed_float16"),
    "mixed_bfloat16": functools.partial(_cnn, "mixed_bfloat16"),
    "mixed_float16_lstm": functools.partial(_lstm, "mixed_float16"),
}

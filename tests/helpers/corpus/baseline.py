"""Nine models that tutorials teach, one of which no artifact can hold."""

from __future__ import annotations

import keras
from keras import layers


def mlp():
    regular = layers.BatchNormalization(), layers.Dropout(0.5)
    return keras.Sequential(
        [keras.Input((16,)), layers.Dense(8, "relu"), *regular, layers.Dense(3, "softmax")]
    )


def cnn():
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(8, 3, activation="relu", padding="same", strides=2),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.SeparableConv2D(8, 3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )


def lstm_fixed():
    stack = [layers.LSTM(8, return_sequences=True), layers.Bidirectional(layers.GRU(8)), layers.Dense(3)]
    return keras.Sequential([keras.Input((12, 4)), *stack])


def lstm_dyn():
    stack = [layers.LSTM(8, return_sequences=True), layers.LSTM(8), layers.Dense(3)]
    return keras.Sequential([keras.Input((None, 4)), *stack])


def embed_mask_lstm():
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    hidden = layers.LSTM(8)(layers.Embedding(50, 8, mask_zero=True)(tokens))
    return keras.Model(tokens, layers.Dense(2)(hidden))


def mha():
    x = keras.Input((10, 16))
    hidden = layers.LayerNormalization()(layers.MultiHeadAttention(2, 8)(x, x) + x)
    return keras.Model(x, layers.GlobalAveragePooling1D()(hidden))


def dict_io():
    a, c = keras.Input((4,), name="a"), keras.Input((6,), name="c")
    hidden = layers.Concatenate()([layers.Dense(4)(a), layers.Dense(4)(c)])
    return keras.Model({"a": a, "c": c}, {name: layers.Dense(1, name=name)(hidden) for name in "pq"})


class _Written(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.hidden, self.out = layers.Dense(4, "gelu"), layers.Dense(2)

    def call(self, x):
        return self.out(self.hidden(x) * 2)


def subclass():
    model = _Written()
    model(keras.ops.zeros((1, 6)))
    return model


def stateful():
    stack = [layers.LSTM(8, stateful=True), layers.Dense(2)]
    return keras.Sequential([keras.Input((7, 4), batch_size=5), *stack])


MODELS = {
    make.__name__: make
    for make in (mlp, cnn, lstm_fixed, lstm_dyn, embed_mask_lstm, mha, dict_io, subclass, stateful)
}

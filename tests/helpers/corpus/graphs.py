"""Graphs: models in models, one part used twice, inputs in structures, layers and calls of one's own."""

from __future__ import annotations

import keras
from keras import layers, ops


def nested():
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(5, "relu"), layers.BatchNormalization()])
    pair = keras.Input((6,), name="x")
    middle = keras.Model(pair, [inner(pair), layers.Dense(5)(pair)])
    x = keras.Input((6,), name="x")
    return keras.Model(x, layers.Dense(2)(layers.Multiply()(middle(x))))


def shared():
    tower = keras.Sequential(
        [keras.Input((8, 8, 2)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten()]
    )
    left, right = keras.Input((8, 8, 2), name="left"), keras.Input((8, 8, 2), name="right")
    return keras.Model([left, right], layers.Dense(2)(layers.Subtract()([tower(left), tower(right)])))


def nested_inputs():
    words = keras.Input((6,), dtype="int32", name="words")
    numbers = [keras.Input((4,), name="first"), keras.Input((3,), name="second")]
    text = layers.GlobalAveragePooling1D()(layers.Embedding(12, 5)(words))
    joined = layers.Concatenate()(
        [text, *map(layers.Dense(5), map(layers.Dense(4), numbers[:1])), numbers[1]]
    )
    inputs = {"words": words, "rest": {"numbers": numbers}}
    return keras.Model(
        inputs, {"score": layers.Dense(1)(joined), "all": {"classes": layers.Dense(3)(joined)}}
    )


class _Scaled(layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), name="factor")

    def call(self, x):
        return ops.tanh(x * self.factor) + ops.mean(x, axis=-1, keepdims=True)


def custom_layer():
    return keras.Sequential([keras.Input((5, 6)), _Scaled(), layers.Dense(3), _Scaled()])


class _Residual(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.entry = layers.Conv2D(4, 3, padding="same")
        self.norm = layers.BatchNormalization()
        self.again = layers.Conv2D(4, 3, padding="same")
        self.out = layers.Dense(3)

    def call(self, x, training=False):
        hidden = ops.relu(self.norm(self.entry(x), training=training))
        return self.out(ops.mean(ops.relu(self.again(hidden) + hidden), axis=(1, 2)))


def subclass_residual():
    model = _Residual()
    model(ops.zeros((1, 8, 8, 2)))
    return model


def operations():
    x, y = keras.Input((4, 6), name="x"), keras.Input((4, 6), name="y")
    product = ops.matmul(x, ops.transpose(y, (0, 2, 1)))
    chosen = ops.where(x > y, x, ops.exp(-ops.abs(y)))
    einsum = ops.einsum("btd,bsd->bts", layers.Dense(3)(x), layers.Dense(3)(y))
    parts = ops.concatenate([chosen[:, ::2, 1:-1], ops.stack([x, y], axis=2)[:, 1:3, 0, 2:]], axis=1)
    return keras.Model(
        [x, y], [ops.softmax(product / 2), einsum, ops.sum(parts, axis=1), ops.sort(x, axis=-1)]
    )


def prepared_numbers():
    x = keras.Input((4,), name="x")
    normal = layers.Normalization(mean=[0.1, 0.2, 0.3, 0.4], variance=[1.0, 2.0, 0.5, 0.3])(x)
    bins = layers.Discretization(bin_boundaries=[-1.0, 0.0, 1.0])(normal)
    encoded = layers.CategoryEncoding(4, output_mode="multi_hot")(bins)
    return keras.Model(x, layers.Dense(2)(layers.Concatenate()([normal, encoded])))


def prepared_pictures():
    stack = [layers.Resizing(12, 10), layers.Rescaling(1 / 127.5, offset=-1), layers.CenterCrop(9, 8)]
    return keras.Sequential(
        [keras.Input((20, 24, 3)), *stack, layers.Conv2D(2, 3, strides=2), layers.Flatten()]
    )


MODELS = {
    make.__name__: make
    for make in (
        nested,
        shared,
        nested_inputs,
        custom_layer,
        subclass_residual,
        operations,
        prepared_numbers,
        prepared_pictures,
    )
}

"""The models of the benchmarks, written once in Keras, and seeded data for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

CLASSES = 10
VOCABULARY, LENGTH, WIDTH, HEADS, BLOCKS = 1000, 128, 256, 4, 4


@dataclass(frozen=True)
class Case:
    """A model of the benchmarks.

    Attributes:
        make: returns the model, its recurrent layers from a library: `keras` or `unikeras`.
        batch: rows in a batch.
        steps: batches in a round; few where a step takes long.
        tokens: whether it reads integers.
    """

    make: Callable[..., keras.Model]
    batch: int = 64
    steps: int = 10
    tokens: bool = False

    def data(self, steps: int | None = None) -> tuple[Any, Any]:
        """Return x and the labels y of as many steps, by default those of a round."""
        return data(self.make(), steps or self.steps, self.batch, self.tokens)


def data(model: keras.Model, steps: int, batch: int = 64, tokens: bool = False) -> tuple[Any, Any]:
    """Return seeded x and y for a model."""
    rng = np.random.default_rng(0)
    shape = (batch * steps, *model.input_shape[1:])
    x = rng.integers(0, VOCABULARY, shape, "int32") if tokens else rng.normal(size=shape).astype("float32")
    return x, rng.integers(0, CLASSES, batch * steps)


def mlp(library: Any = keras) -> keras.Model:
    return keras.Sequential(
        [keras.Input((784,)), layers.Dense(512, "relu"), layers.Dense(512, "relu"), layers.Dense(CLASSES)]
    )


def cnn(library: Any = keras) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(64, "relu"),
            layers.Dense(CLASSES),
        ]
    )


def lstm(library: Any = keras) -> keras.Model:
    recurrent = [library.layers.LSTM(128, return_sequences=True), library.layers.LSTM(128)]
    return keras.Sequential([keras.Input((28, 28)), *recurrent, layers.Dense(CLASSES)])


def resnet(library: Any = keras) -> keras.Model:
    """Return ResNet-18 for 64 x 64; zeros are padded as in torchvision's, so that both compute the same."""
    inputs = keras.Input((64, 64, 3))
    x = _normalized(inputs, 64, 7, 2)
    x = layers.ReLU()(x)
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
    for stage, filters in enumerate((64, 128, 256, 512)):
        for block in range(2):
            x = _residual(x, filters, 2 if stage and not block else 1)
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(x)))


def _residual(x: Any, filters: int, stride: int) -> Any:
    shortcut = _normalized(x, filters, 1, stride) if stride > 1 else x
    y = layers.ReLU()(_normalized(x, filters, 3, stride))
    y = _normalized(y, filters, 3, 1)
    return layers.ReLU()(layers.Add()([shortcut, y]))


def _normalized(x: Any, filters: int, size: int, stride: int) -> Any:
    if stride > 1 and size > 1:
        x = layers.ZeroPadding2D(size // 2)(x)
    padding = "same" if stride == 1 else "valid"
    x = layers.Conv2D(filters, size, stride, padding, use_bias=False)(x)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


class Positions(layers.Layer):
    """Adds a learned vector to each position."""

    def build(self, shape: Any) -> None:
        self.table = self.add_weight(shape=shape[1:], initializer="uniform", name="table")

    def call(self, x: Any) -> Any:
        return x + self.table


def transformer(library: Any = keras) -> keras.Model:
    """Return an encoder of blocks with attention and dropout, and a classifier of the mean over time."""
    inputs = keras.Input((LENGTH,), dtype="int32")
    x = Positions()(layers.Embedding(VOCABULARY, WIDTH)(inputs))
    for _ in range(BLOCKS):
        attended = layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(x, x)
        x = layers.LayerNormalization(epsilon=1e-5)(x + layers.Dropout(0.1)(attended))
        wide = layers.Dense(WIDTH)(layers.Dense(4 * WIDTH, "relu")(x))
        x = layers.LayerNormalization(epsilon=1e-5)(x + layers.Dropout(0.1)(wide))
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.GlobalAveragePooling1D()(x)))


CASES: dict[str, Case] = {
    "mlp": Case(mlp),
    "cnn": Case(cnn),
    "lstm": Case(lstm),
    "resnet": Case(resnet, batch=32, steps=2),
    "transformer": Case(transformer, batch=16, steps=2, tokens=True),
}

"""A small convolutional network."""

from __future__ import annotations

import keras
from keras import layers

import unikeras as uk

BEST = "val_accuracy"


def build(shape: tuple[int, int, int] = (8, 8, 1), classes: int = 10) -> uk.Model:
    """Return the compiled model: pictures of this shape to one logit for each class."""
    network = keras.Sequential(
        [
            keras.Input(shape, name="picture"),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(classes, name="logits"),
        ],
        name="network",
    )
    model = uk.Model.from_keras(network)
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def to_export(model: keras.Model) -> keras.Model:
    """Return the part that is used after training."""
    return model

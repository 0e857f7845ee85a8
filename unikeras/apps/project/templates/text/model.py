"""A recurrent network over bytes."""

from __future__ import annotations

import keras
from data import LANGUAGES
from keras import layers

import unikeras as uk

BEST = "val_accuracy"


def build() -> uk.Model:
    """Return the compiled model: bytes, (batch, time) int32, to one logit for each language."""
    network = keras.Sequential(
        [
            keras.Input((None,), dtype="int32", name="bytes"),
            layers.Embedding(256, 24),
            layers.Conv1D(48, 3, padding="same", activation="relu"),
            layers.Bidirectional(uk.layers.GRU(32)),
            layers.Dropout(0.2),
            layers.Dense(len(LANGUAGES), name="logits"),
        ],
        name="network",
    )
    model = uk.Model.from_keras(network)
    model.compile(
        optimizer=keras.optimizers.Adam(2e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def to_export(model: keras.Model) -> keras.Model:
    """Return the part that is used after training."""
    return model

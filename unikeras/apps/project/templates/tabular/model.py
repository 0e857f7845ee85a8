"""A network over the columns of a table. It holds the columns' means and variances, so it takes raw numbers."""

from __future__ import annotations

import keras
from data import table
from keras import layers

import unikeras as uk

BEST = "val_auc"


def build() -> uk.Model:
    """Return the compiled model: rows of raw columns to the logit of a benign tumor."""
    columns, _ = table()
    normalization = layers.Normalization(mean=columns.mean(0), variance=columns.var(0))
    network = keras.Sequential(
        [
            keras.Input(columns.shape[1:], name="columns"),
            normalization,
            layers.Dense(32, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(32, activation="relu"),
            layers.Dense(1, name="logit"),
        ],
        name="network",
    )
    model = uk.Model.from_keras(network)
    model.compile(
        optimizer=keras.optimizers.AdamW(1e-3),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.AUC(from_logits=True, name="auc")],
    )
    return model


def to_export(model: keras.Model) -> keras.Model:
    """Return the part that is used after training."""
    return model

"""A checkpoint holds all that training carries, and fits a model that was made again."""

from __future__ import annotations

import random

import keras
import numpy as np
import pytest

import unikeras as uk
from unikeras.training import Checkpointer

pytestmark = pytest.mark.usefixtures("backend")

X = np.random.default_rng(0).normal(size=(48, 6)).astype("float32")
Y = np.arange(48) % 3


def make_model(units=8, **adam):
    """Layers without names, so that each model has others, and everything that has state."""
    inputs = keras.Input((6,))
    h = keras.layers.BatchNormalization()(keras.layers.Dense(units, "relu")(inputs))
    h = keras.layers.Dropout(0.3)(keras.layers.Dense(units, "relu")(h))
    model = uk.Model(inputs, keras.layers.Dense(3)(h))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01, **adam), loss, metrics=["accuracy"])
    return model


def values_of(model):
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def assert_equal(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def draws():
    return [
        random.random(),
        np.random.rand(),
        *keras.ops.convert_to_numpy(keras.random.uniform((2,))).tolist(),
    ]


@pytest.mark.parametrize(
    "adam", [{}, {"use_ema": True, "gradient_accumulation_steps": 3}, {"loss_scale_factor": 8.0}]
)
def test_a_second_model_goes_on_where_the_first_was(tmp_path, adam):
    first = make_model(**adam)
    first.fit(X, Y, batch_size=8, verbose=0)
    path = Checkpointer(tmp_path, model=first).save()
    saved, expected = values_of(first), draws()

    second = make_model(**adam)
    second.fit(X, Y, batch_size=8, epochs=2, verbose=0)
    assert Checkpointer(tmp_path, model=second).restore() == path
    assert draws() == expected
    assert_equal(values_of(second), saved)

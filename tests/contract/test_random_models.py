"""A hundred small models, put together at random: a step of each computes in a program what its Python computes."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from helpers.arrays import numpy
from keras import layers

import unikeras as uk
from unikeras import backends

pytestmark = pytest.mark.usefixtures("backend")

# Where a compiler of the framework's own makes the programs, they round otherwise, and one model in twelve is tried.
IS_OURS = backends.current().falls_back
TOLERANCE = 1e-5 if IS_OURS else 2e-4
MODELS = [str(number) for number in range(0, 100, 1 if IS_OURS else 12)]

Layers = list[Callable[[random.Random], Any]]

ANY: Layers = [
    lambda r: layers.Activation(r.choice(["relu", "tanh", "gelu", "softmax", "elu", "leaky_relu"])),
    lambda r: layers.BatchNormalization(momentum=0.8),
    lambda r: layers.LayerNormalization(),
    lambda r: layers.Dense(r.choice([3, 5, 8]), r.choice([None, "relu", "tanh"]), use_bias=r.random() < 0.7),
    lambda r: layers.Dropout(0.3, seed=r.randrange(100)),
    lambda r: layers.GaussianNoise(0.1, seed=r.randrange(100)),
]
OF_SEQUENCES: Layers = [
    *ANY,
    lambda r: layers.LSTM(r.choice([3, 4]), return_sequences=True, go_backwards=r.random() < 0.3),
    lambda r: layers.GRU(4, return_sequences=True, reset_after=r.random() < 0.7),
    lambda r: layers.Conv1D(4, 3, padding=r.choice(["same", "causal"]), dilation_rate=r.choice([1, 2])),
    lambda r: layers.Bidirectional(layers.SimpleRNN(3, return_sequences=True)),
    lambda r: layers.TimeDistributed(layers.Dense(4)),
    lambda r: layers.MaxPooling1D(2, 1, padding="same"),
]
OF_IMAGES: Layers = [
    *ANY,
    lambda r: layers.Conv2D(4, 3, r.choice([1, 2]), padding="same", activation=r.choice([None, "relu"])),
    lambda r: layers.DepthwiseConv2D(3, padding="same"),
    lambda r: layers.SeparableConv2D(4, 3, padding="same"),
    lambda r: layers.AveragePooling2D(2, 1, padding="same"),
    lambda r: layers.MaxPooling2D(2, 1, padding="same"),
    lambda r: layers.Conv2DTranspose(3, 2, padding="same"),
]
KINDS: dict[tuple[int, ...], tuple[Layers, Callable[[], Any]]] = {
    (6,): (ANY, layers.Identity),
    (5, 4): (OF_SEQUENCES, layers.GlobalAveragePooling1D),
    (6, 6, 3): (OF_IMAGES, layers.GlobalAveragePooling2D),
}


def draw(number: int) -> tuple[keras.Model, Any, Any]:
    """Return a model, its optimizer and its input; the same ones for the same number."""
    r = random.Random(number)
    keras.utils.set_random_seed(number)
    shape = r.choice(list(KINDS))
    known, pool = KINDS[shape]
    inputs = x = keras.Input(shape)
    for _ in range(r.randint(2, 5)):
        y = r.choice(known)(r)(x)
        x = layers.Add()([x, y]) if r.random() < 0.3 and y.shape == x.shape else y
    model = keras.Model(inputs, layers.Dense(2)(pool()(x)))
    optimizer = r.choice([keras.optimizers.SGD(0.1, momentum=0.9), keras.optimizers.RMSprop(0.01)])
    optimizer.build(model.trainable_variables)
    return model, optimizer, np.random.default_rng(number).normal(size=(4, *shape)).astype("float32")


def train(model: keras.Model, optimizer: Any) -> Callable[[Any], Any]:
    def step(x: Any) -> Any:
        with uk.GradientTape() as tape:
            y = model(x, training=True)
            loss = keras.ops.mean(y**2)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss, y

    return step


@pytest.mark.rotated("number", parts=8)
@pytest.mark.parametrize("number", MODELS)
def test_a_random_model_trains_as_its_python(number):
    own, optimizer, x = draw(int(number))
    expected = train(own, optimizer)(keras.ops.convert_to_tensor(x))
    model, other, _ = draw(int(number))
    step = uk.function(train(model, other))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # nothing runs as Python
        actual = step(x)
    assert step.trace_count == 1
    values = [*expected, *own.variables, *optimizer.variables]
    for one, two in zip(values, [*actual, *model.variables, *other.variables], strict=True):
        one, two = numpy(one), numpy(two)
        np.testing.assert_allclose(two, one, rtol=0, atol=TOLERANCE * max(1.0, np.abs(one).max()))

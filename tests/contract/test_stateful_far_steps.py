"""What looks many steps back is refused by `uk.stateful`; what treats each step by itself is not."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

import unikeras as uk
from unikeras.errors import CannotStream

FEATURES = 4


def model_of(mix, length=None):
    x = keras.Input((length, FEATURES))
    return keras.Model(x, mix(layers.LSTM(FEATURES, return_sequences=True)(x)))


def delayed(x, steps):
    return ops.pad(x, ((0, 0), (steps, 0), (0, 0)))[:, :-steps]


class Delay(layers.Layer):
    def __init__(self, steps, **kwargs):
        super().__init__(**kwargs)
        self.steps = steps
        self.supports_masking = True

    def call(self, x):
        return x + delayed(x, self.steps)


class PastThreshold(layers.Layer):
    """Adds the step before the last only where that is far below zero."""

    def call(self, x):
        return x + ops.relu(-delayed(x, 2) - 60.0)


class Gated(layers.Layer):
    """Begins as the identity, and is one for half of all weights."""

    def build(self, shape):
        self.gate = self.add_weight(shape=(), initializer="zeros")

    def call(self, x):
        return x + ops.relu(self.gate) * delayed(x, 20)


class Holding(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Conv1D(FEATURES, 2, dilation_rate=40, padding="causal")

    def call(self, x):
        return x + self.inner(x)


class Stepwise(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dense(FEATURES)
        self.supports_masking = True

    def call(self, x, mask=None):
        y = ops.tanh(self.inner(x)) * 100 + 7
        return y if mask is None else y * ops.cast(ops.expand_dims(mask, -1), y.dtype)


class Lookup(layers.Layer):
    """An embedding of numbers that Keras takes for floats."""

    def build(self, shape):
        self.table = self.add_weight(shape=(100, FEATURES), initializer="uniform")

    def call(self, x):
        return ops.take(self.table, ops.cast(x, "int32"), axis=0)


def dilated(**options):
    return layers.Conv1D(FEATURES, 2, padding="causal", name="mixes", **options)


def of_tokens(mix):
    x = keras.Input((None,), dtype="int32")
    h = layers.LSTM(FEATURES, return_sequences=True)(layers.Embedding(10, FEATURES, mask_zero=True)(x))
    return keras.Model(x, layers.Dense(2)(mix(h)))


FAR = {
    "dilated": lambda: model_of(dilated(dilation_rate=8)),
    "dilated, of one length": lambda: model_of(dilated(dilation_rate=8), 24),
    "wide": lambda: model_of(layers.Conv1D(FEATURES, 60, padding="causal", name="mixes")),
    "nested": lambda: model_of(
        keras.Sequential([keras.Input((None, FEATURES)), dilated(dilation_rate=30)], name="outer")
    ),
    "wrapped": lambda: model_of(layers.SpectralNormalization(dilated(dilation_rate=9), name="mixes")),
    "pooled": lambda: model_of(layers.MaxPooling1D(9, 1, "same", name="mixes")),
    "held by a layer": lambda: model_of(Holding(name="mixes")),
    "delayed": lambda: model_of(Delay(7, name="mixes")),
    "delayed far": lambda: model_of(Delay(200, name="mixes")),
    "past a threshold": lambda: model_of(PastThreshold(name="mixes")),
    "gated": lambda: model_of(Gated(name="mixes")),
    "masked": lambda: of_tokens(Delay(7, name="mixes")),
    "function": lambda: model_of(layers.Lambda(lambda x: x + ops.roll(x, 33, axis=1), name="mixes")),
    "activation": lambda: model_of(
        layers.Dense(FEATURES, activation=lambda x: x + ops.roll(x, 12, axis=1), name="mixes")
    ),
    "cut": lambda: model_of(lambda h: h[:, :-9]),
    "rolled": lambda: model_of(lambda h: ops.roll(h, 300, axis=1)),
    "last but one": lambda: model_of(lambda h: h[:, -2]),
    "last three": lambda: model_of(lambda h: h[:, -3:]),
    "summed so far": lambda: model_of(lambda h: ops.cumsum(h, axis=1)),
    "joined": lambda: model_of(lambda h: layers.Concatenate()([h, delayed(h, 9)])),
}


@pytest.mark.parametrize("kind", FAR)
def test_what_looks_far_back_is_refused(kind):
    with pytest.raises(CannotStream, match="in chunks would give other numbers") as caught:
        uk.stateful(FAR[kind]())
    assert "mixes" in caught.value.layer or kind in {
        *("cut", "rolled", "last but one", "last three", "summed so far", "joined")
    }


def frames():
    x = keras.Input((None, 12, FEATURES))
    h = layers.TimeDistributed(layers.Conv1D(3, 5, dilation_rate=2))(x)
    return keras.Model(x, layers.LSTM(3)(layers.TimeDistributed(layers.Flatten())(h)))


def looked_up():
    x = keras.Input((None,))
    return keras.Model(x, layers.GRU(3)(Lookup()(x)))


NEAR = {
    "width of one": lambda: model_of(layers.Conv1D(3, 1)),
    "windows within a step": frames,
    "own layer": lambda: model_of(Stepwise()),
    "own layer, masked": lambda: of_tokens(Stepwise()),
    "own lookup": looked_up,
    "own function": lambda: model_of(layers.Lambda(lambda x: ops.relu(x * 255 - 40))),
    "reshaped": lambda: model_of(layers.Reshape((-1, 2, 2))),
    "last step": lambda: model_of(lambda h: h[:, -1]),
    "one length": lambda: model_of(layers.Dense(3), 24),
    "one step": lambda: model_of(layers.Dense(3), 1),
}


@pytest.mark.parametrize("kind", NEAR)
def test_what_treats_each_step_by_itself_is_not(kind):
    model = NEAR[kind]()
    step = uk.stateful(model)
    (x,) = model.inputs
    length = x.shape[1] or 24
    rng = np.random.default_rng(0)
    tokens = len(x.shape) == 2
    shape = (2, length, *x.shape[2:])
    value = rng.integers(0, 10, shape).astype(x.dtype) if tokens else rng.normal(size=shape).astype("float32")
    state, parts = step.initial_state(2), []
    for begin in range(0, length, 7):
        y, state = step(value[:, begin : begin + 7], state)
        parts.append(keras.ops.convert_to_numpy(y))
    got = np.concatenate(parts, 1) if step.sequence_outputs[0] else parts[-1]
    np.testing.assert_allclose(got, keras.ops.convert_to_numpy(model(value)), atol=1e-4)

"""A step is a value: pickled, copied and sent to another backend, it answers as before and is its own."""

from __future__ import annotations

import copy
import pickle

import cloudpickle
import keras
import numpy as np
import pytest
from keras import layers

import unikeras as uk
from unikeras import backends

X = np.random.default_rng(0).normal(size=(1, 4, 3)).astype("float32")


def plain():
    return keras.Sequential([keras.Input((None, 3)), uk.layers.GRU(3, return_sequences=True), layers.LSTM(2)])


def nested():
    inner = [keras.Input((None, 3)), layers.LSTM(4, return_sequences=True, name="cell")]
    x = keras.Input((None, 3))
    return keras.Model(x, layers.Dense(2)(keras.Sequential(inner, name="inner")(x)))


def two_inputs():
    b, a = keras.Input((None, 3), name="b"), keras.Input((None, 3), name="a")
    return keras.Model({"b": b, "a": a}, {"y": layers.GRU(4)(layers.Concatenate()([a, 2 * b]))})


def custom():
    class Doubling(layers.Layer):
        def call(self, x):
            return 2 * x

    return keras.Sequential([keras.Input((None, 3)), Doubling(), layers.SimpleRNN(4)])


def answer(step):
    x = {"a": X, "b": X + 1} if len(step.sequence_inputs) == 2 else X
    y, state = step(x, step.initial_state(1))
    y, _ = step(x, state)
    return keras.ops.convert_to_numpy(keras.tree.flatten(y)[0])


COPIES = {
    "pickle": lambda step: pickle.loads(pickle.dumps(step)),
    "cloudpickle": lambda step: cloudpickle.loads(cloudpickle.dumps(step)),
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize(
    ("make", "how"),
    [
        (plain, "pickle"),
        (nested, "cloudpickle"),
        (two_inputs, "pickle"),
        (custom, "cloudpickle"),
        (custom, "deepcopy"),
    ],
)
def test_a_copy_answers_as_the_step_and_is_independent(make, how):
    step = uk.stateful(make())
    want, fingerprint = answer(step), step.fingerprint
    other = COPIES[how](step)
    np.testing.assert_array_equal(answer(other), want)
    assert other.fingerprint == fingerprint
    assert [v.path for v in other.model.weights] == [v.path for v in step.model.weights]
    assert (other.name, other.states, other.results) == (step.name, step.states, step.results)
    first = other.model.weights[0]
    first.assign(first + 1)
    assert step.fingerprint == fingerprint
    assert np.abs(answer(other) - want).max() > 1e-4


def test_a_model_and_its_step_share_weights_in_a_copy_of_both():
    model = plain()
    other, step = pickle.loads(pickle.dumps((model, uk.stateful(model))))
    assert step.model.weights[0] is other.weights[0]


def test_a_step_goes_to_another_backend_and_back():
    name = next((name for name in backends.available() if name != uk.backend()), None)
    if name is None:
        pytest.skip("one backend is installed")
    step = uk.stateful(custom())
    there, back = uk.run_on(name, lambda step: (answer(step), step), step)
    np.testing.assert_allclose(there, answer(step), atol=1e-5)
    np.testing.assert_array_equal(answer(back), answer(step))
    assert back.fingerprint == step.fingerprint

"""Devices by name, and training beside the weights: on two devices that need no accelerator."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest

import unikeras as uk
from unikeras.errors import ArgumentError, ArgumentValueError

# A process in which there are two devices: virtual ones, and on PyTorch "meta", which only has shapes. `elsewhere` is a
# scope of Keras for the device that has no weights.
TWO_DEVICES = {
    "jax": """
there = "cpu:1"
elsewhere = lambda: keras.device("cpu:0")
""",
    "tensorflow": """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
there = "cpu:1"
elsewhere = lambda: keras.device("cpu:0")
""",
    "torch": """
there = "cpu:0"
elsewhere = lambda: keras.device("meta")
""",
}
PROGRAM = """
import keras, numpy as np, unikeras as uk

DEVICES

backend = uk.backends.current()
device_of = lambda variable: backend.device_of(variable._value)
seen = []
x = np.random.default_rng(0).normal(size=(12, 3)).astype("float32")
y = x[:, :1]

class Seen(keras.layers.Layer):
    def call(self, x):
        seen.append(backend.device_of(x) if not backend.is_symbolic(x) else None)
        return x

def trained(eagerly):
    keras.utils.set_random_seed(0)
    with uk.device(there):
        inputs = keras.Input((3,))
        hidden = keras.layers.Dropout(0.5, seed=1)(keras.layers.Dense(4, "tanh")(Seen()(inputs)))
        model = uk.Model(inputs, keras.layers.BatchNormalization()(keras.layers.Dense(1)(hidden)))
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse", metrics=["mae"], run_eagerly=eagerly)
    seen.clear()
    with elsewhere():
        history = model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0).history
        values = [*history["loss"], *history["mae"], *model.evaluate(x, y, verbose=0)]
        values += [*model.predict(x, verbose=0).ravel(), *model.predict_on_batch(x).ravel()]
        values += [model.train_on_batch(x, y)[0], model.test_on_batch(x, y)[0]]
        assert backend.device_of(keras.ops.zeros(())) != there
    assert {device_of(v) for v in [*model.weights, *model.optimizer.variables[2:]]} == {there}
    assert not eagerly or {device for device in seen if device} == {there}, seen
    with uk.device(there):
        np.testing.assert_allclose(model.train_on_batch(x, y)[0], model.train_on_batch(x, y)[0], rtol=0.5)
    return [float(value) for value in values]

np.testing.assert_allclose(trained(True), trained(False), rtol=1e-5, atol=1e-6)
"""


def test_fit_runs_where_the_weights_are():
    program = PROGRAM.replace("DEVICES", TWO_DEVICES[uk.backend()])
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "KERAS_BACKEND": uk.backend()}
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | flags, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_names_of_devices():
    assert uk.devices()[0] == "cpu:0"
    for name in uk.devices():
        with uk.device(name.upper()) as full:
            assert full == name
            assert uk.backends.current().device_of(keras.Variable([1.0])._value) == name
    with uk.device("cpu") as full:
        assert full == "cpu:0"


@pytest.mark.parametrize(
    "name", ["cpu:99", "cpu:-1", "gpu:99", "cuda:99", "tpu", "", "cpu:0:0", "cpu:x", "meta"]
)
def test_a_device_that_is_not_here_is_named(name):
    with pytest.raises(ArgumentValueError, match=r"cpu:0"):
        uk.device(name)


@pytest.mark.parametrize("name", [None, 0, b"cpu", ["cpu"]])
def test_a_device_has_a_name(name):
    with pytest.raises(ArgumentError, match="name such as"):
        uk.device(name)


def _current():
    return uk.backends.current().device_of(keras.ops.zeros(()))


def test_contexts_nest_and_end_with_an_exception():
    before = _current()
    with pytest.raises(KeyError), uk.device("cpu"), keras.device("cpu:0"), uk.device("cpu:0"):
        raise KeyError
    assert _current() == before
    # PyTorch copies from "cpu" to "cpu:0".
    x = keras.ops.ones((3,))
    with uk.device("cpu:0"):
        assert keras.ops.convert_to_tensor(x) is x


def test_a_context_holds_for_its_thread():
    entered, left = threading.Event(), threading.Event()
    errors = []

    def other():
        try:
            with uk.device("cpu"):
                entered.set()
                assert left.wait(10)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    assert entered.wait(10)
    before = _current()
    left.set()
    thread.join()
    assert not errors
    assert _current() == before


def test_a_function_that_is_compiled_takes_the_device():
    with uk.device("cpu"):
        doubled = uk.function(lambda x: x * 2)(np.ones((2,), "float32"))
    assert uk.backends.current().device_of(doubled) == "cpu:0"

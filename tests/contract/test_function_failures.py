"""What is left of the state when a running program fails: a model that can be used."""

from __future__ import annotations

import os
import signal
import threading

import keras
import numpy as np
import pytest
from helpers.arrays import numpy
from keras import layers, ops

import unikeras as uk

pytestmark = pytest.mark.usefixtures("backend")


class Training:
    """A train step, and all of its state."""

    def __init__(self):
        keras.utils.set_random_seed(0)
        self.model = keras.Sequential(
            [keras.Input((3,)), layers.Dense(4), layers.BatchNormalization(), layers.Dense(1)]
        )
        self.optimizer = keras.optimizers.Adam(0.1)
        self.optimizer.build(self.model.trainable_variables)
        self.x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")

    def update(self, x):
        with uk.GradientTape() as tape:
            loss = ops.mean(self.model(x, training=True) ** 2)
        self.optimizer.apply(
            tape.gradient(loss, self.model.trainable_variables), self.model.trainable_variables
        )
        return loss

    def assert_usable(self, step):
        for variable in [*self.model.variables, *self.optimizer.variables]:
            assert np.all(np.isfinite(numpy(variable.value))), variable.path
        before = int(numpy(self.optimizer.iterations))
        first, *_, last = [float(numpy(step(self.x))) for _ in range(5)]
        assert last < first
        assert int(numpy(self.optimizer.iterations)) == before + 5


def device_check(x):
    """Return x, after a check that fails on the device, while the program runs, where x is large."""
    backend = uk.backend()
    if backend == "jax":
        import jax

        def check(value):
            if value > 100:
                raise ValueError("the device says no")
            return value

        return x + 0 * jax.pure_callback(check, jax.ShapeDtypeStruct((), "float32"), ops.max(x))
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.control_dependencies([tf.debugging.assert_less(ops.max(x), 100.0, "the device says no")]):
            return tf.identity(x)
    import torch

    torch._assert_async(ops.max(x) < 100, "the device says no")
    return x


def test_a_failing_check_on_the_device():
    training = Training()

    @uk.function
    def step(x):
        loss = training.update(x)
        return ops.mean(device_check(ops.reshape(loss, (1,)) * 0 + ops.max(x))) * 0 + loss

    step(training.x)
    with pytest.raises(Exception, match="the device says no"):
        numpy(step(training.x * 1000))
    training.assert_usable(step)


# Each framework says it in its own words.
OUT_OF_MEMORY = r"(?i)out of memory|\bOOM\b|allocat|YNNPACK operation failed"


def test_out_of_memory():
    training = Training()

    @uk.function
    def step(x):
        loss = training.update(x)
        if x.shape[0] == 8:
            return loss
        huge = ops.broadcast_to(ops.reshape(loss, (1, 1)), (3_000_000, 3_000_000)) + ops.max(x)
        return ops.sum(ops.matmul(huge, huge)) * 0 + loss

    step(training.x)
    with pytest.raises(Exception, match=OUT_OF_MEMORY):
        numpy(step(training.x[:4]))
    training.assert_usable(step)


def interrupt(step, delay):
    """Repeat a step until Ctrl-C, sent after a delay, ends it; send it again where Python drops it."""
    for _ in range(20):
        killer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
        try:
            killer.start()
            while killer.is_alive():
                step()
            step()
        except KeyboardInterrupt:
            killer.join()
            return
    pytest.fail("no interrupt ended a step")


# Python drops an interrupt that arrives in the callback of a weak reference, and says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_between_steps():
    training = Training()
    step = uk.function(training.update)
    step(training.x)
    for delay in np.linspace(0.0, 0.02, 12):
        interrupt(lambda: step(training.x), delay)
        for variable in [*training.model.variables, *training.optimizer.variables]:
            numpy(variable.value)
    training.model.set_weights([0 * w + 0.3 for w in training.model.get_weights()])
    training.assert_usable(step)

"""State that JAX donates: what other threads read stays valid, and donate=False keeps every array."""

from __future__ import annotations

import threading

import keras
import numpy as np
import pytest

import unikeras as uk
from unikeras.errors import ArgumentValueError

jax = pytest.importorskip("jax", reason="only JAX donates arrays")
pytestmark = pytest.mark.skipif(uk.backend() != "jax", reason="only JAX donates arrays")


def _trained(model, **settings):
    optimizer = keras.optimizers.SGD(1e-3)
    optimizer.build(model.trainable_variables)

    @uk.function(**settings)
    def step(x):
        with uk.GradientTape() as tape:
            loss = keras.ops.mean(model(x) ** 2)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    return step


def _model():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(64), keras.layers.Dense(3)])


@pytest.mark.parametrize(("settings", "deleted"), [({}, True), ({"donate": False}, False)])
def test_donate_says_whether_an_array_read_before_stays_valid(settings, deleted):
    model = _model()
    step = _trained(model, **settings)
    step(np.ones((2, 4), "float32"))
    before = model.weights[0].value
    step(np.ones((2, 4), "float32"))
    assert before.is_deleted() is deleted


def test_what_another_thread_reads_is_not_donated():
    model = _model()
    step = _trained(model)
    x = np.ones((16, 4), "float32")
    step(x)
    failures, done = [], threading.Event()

    def read():
        while not done.is_set():
            try:
                model.get_weights()
                np.asarray(model(x))
            except Exception as error:
                failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(300):
        step(x)
    done.set()
    reader.join()
    assert failures == []


def test_a_method_and_a_copy_keep_the_setting():
    class Holder:
        @uk.function(donate=False)
        def step(self, x):
            return x

    import copy

    assert copy.copy(Holder().step)._donate is False


def test_what_is_no_setting_is_refused():
    with pytest.raises(ArgumentValueError, match="donate must be True or False, not 1"):
        uk.function(lambda x: x, donate=1)

"""Where "auto" finds XLA worth it on TensorFlow, what XLA does not compile runs without it."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import unikeras as uk

if uk.backend() != "tensorflow":
    pytest.skip("XLA is a choice on TensorFlow only", allow_module_level=True)

import tensorflow as tf

from unikeras.backends.tensorflow import compile as _compile


@pytest.fixture(autouse=True)
def _worth_it(monkeypatch):
    monkeypatch.setattr(_compile, "_worth_xla", lambda: True)


def test_what_compiles_is_compiled():
    count = keras.Variable(0.0)

    @uk.function
    def step(x):
        count.assign_add(1.0)
        return keras.ops.sum(x * x)

    assert [float(step(np.full(3, 2.0, "float32"))) for _ in range(2)] == [12.0, 12.0]
    assert float(count.numpy()) == 2.0
    assert step.trace_count == 1


def test_what_does_not_compile_runs_without_it(caplog):
    count = keras.Variable(0.0)

    @uk.function
    def step(x):
        count.assign_add(1.0)
        return tf.size(tf.strings.as_string(x)) + tf.cast(
            tf.strings.length(tf.strings.as_string(x))[0], "int32"
        )

    with caplog.at_level("INFO", logger="unikeras"):
        results = [int(step(np.full(3, 2, "int32"))) for _ in range(2)]
    assert results == [4, 4]
    assert float(count.numpy()) == 2.0
    assert "runs without it" in caplog.text

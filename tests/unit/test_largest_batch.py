"""The largest batch that fits: found in a child, whose end, hang or error leaves the caller as it was."""

from __future__ import annotations

import os
import signal

import keras
import numpy as np
import pytest

import unikeras as uk
from unikeras.errors import (
    ArgumentError,
    ArgumentValueError,
    OutOfMemory,
    RemoteError,
    WorkerDied,
    WorkerTimeout,
)
from unikeras.training import _largest_batch, _memory_trial

MB = 1 << 20


def small():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def wide():
    """Return a model that needs tens of megabytes for one example, and few weights."""
    layers = keras.layers
    model = uk.Model.from_keras(
        keras.Sequential(
            [
                keras.Input((1 << 18, 1)),
                layers.Conv1D(32, 1, activation="tanh"),
                layers.GlobalAveragePooling1D(),
            ]
        )
    )
    model.compile("adam", "mse")
    return model


ONE = np.ones((1, 2), "float32"), np.ones((1, 1), "float32")


@pytest.mark.parametrize("megabytes", [1200])
@pytest.mark.rotated("megabytes", parts=4)  # several children, which load a framework each
def test_a_limit_is_found(megabytes):
    model = wide()
    x, y = np.ones((1, 1 << 18, 1), "float32"), np.ones((1, 32), "float32")
    weights = model.get_weights()
    size = uk.training.largest_batch(model, x, y, limit_bytes=megabytes * MB, maximum=16)
    assert 1 <= size < 16
    for one, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not model.optimizer.built


def test_one_example_that_does_not_fit():
    with pytest.raises(OutOfMemory, match="one example does not fit into 1,048,576 bytes"):
        uk.training.largest_batch(small(), *ONE, limit_bytes=MB)


def test_named_inputs_and_mixed_precision():
    def two_inputs():  # nested, so that it travels by value: a child may not find this module
        """Return a model of two named inputs, one of which has a state; made in the child."""
        first, second = keras.Input((3,), name="a"), keras.Input((None, 2), name="b")
        merged = keras.layers.Concatenate()([first, keras.layers.GRU(2)(second)])
        model = keras.Model({"a": first, "b": second}, keras.layers.Dense(1)(merged))
        model.compile("sgd", "mse")
        return model

    x = {"a": np.ones((3, 3), "float32"), "b": np.ones((3, 4, 2), "float32")}
    weight = np.ones((3,), "float32")
    options = {"maximum": 5, "policy": "mixed_bfloat16"}
    assert uk.training.largest_batch(two_inputs, x, weight[:, None], weight, **options) == 5
    assert keras.config.dtype_policy().name == "float32"


def test_a_child_that_is_killed_did_not_fit():
    def killed():
        """Return a model that ends its process with more than one example, as the system does for want of memory."""

        class Killed(keras.Model):
            def train_on_batch(self, x, *rest):
                if len(x) > 1:
                    os.kill(os.getpid(), signal.SIGKILL)

        model = Killed()
        model.compile("sgd", "mse")
        return model

    assert uk.training.largest_batch(killed, *ONE, maximum=2) == 1


def test_a_child_that_hangs_is_ended():
    with pytest.raises(WorkerTimeout, match=r"batch of 1 did not finish within 0\.1 seconds"):
        uk.training.largest_batch(small(), *ONE, timeout=0.1)


class Trials:
    """Trials that are known beforehand."""

    def __init__(self, limit):
        self.limit = limit
        self.tried = []

    def fits(self, size):
        self.tried.append(size)
        return size <= self.limit


@pytest.mark.parametrize("limit", [*range(1, 40), 63, 64, 65, 100, 1000, 4095, 4096])
@pytest.mark.parametrize("maximum", [1, 2, 7, 64, 4096])
def test_the_search(limit, maximum):
    trials = Trials(limit)
    found = _largest_batch._search(trials, maximum, None)
    allowed = min(limit, maximum)
    assert found in trials.tried
    assert found <= allowed <= found + max(1, found // 16) - (found < 32)
    assert len(trials.tried) == len(set(trials.tried)) <= 18


class Worker:
    """A worker that answers as it is told, and counts how often it is started."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.stopped = self.prepared = 0

    def call(self, f, *args, timeout):
        if f is _memory_trial.prepare:
            self.prepared += 1
            return None
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def stop(self):
        self.stopped += 1


@pytest.mark.parametrize(
    "failure",
    [
        False,
        WorkerDied("gone", -9),
        RemoteError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1 byte", "XlaRuntimeError"),
        RemoteError(
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes", "RuntimeError"
        ),
        RemoteError("CUDA out of memory. Tried to allocate 2.00 GiB", "OutOfMemoryError"),
    ],
)
def test_what_does_not_fit_gets_a_new_child(failure):
    worker = Worker(True, failure, True)
    trials = _largest_batch._Trials(worker, (), 1.0)
    assert [trials.fits(size) for size in (1, 2, 1)] == [True, False, True]
    assert (worker.prepared, worker.stopped) == (2, 1)


def test_another_error_is_raised():
    with pytest.raises(RemoteError, match="shape"):
        _largest_batch._Trials(Worker(RemoteError("a shape is wrong")), (), 1.0).fits(1)


class Unsaveable(keras.Model):
    """A model with an argument that no file holds."""

    def __init__(self, f):
        super().__init__()
        self.f = lambda x: f(x)


def test_a_model_that_cannot_be_sent():
    model = Unsaveable(lambda x: x)
    model.compile("sgd", "mse")
    with pytest.raises(ArgumentError, match=r"(?s)cannot be sent to another process.*pass a function"):
        uk.training.largest_batch(model, *ONE)


def test_what_is_refused():
    find = uk.training.largest_batch
    loose = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(ArgumentError, match="not compiled"):
        find(loose, *ONE)
    with pytest.raises(ArgumentError, match=r"keras\.Model"):
        find("model", *ONE)
    fixed = keras.Sequential([keras.Input((5, 2), batch_size=4), keras.layers.GRU(1, stateful=True)])
    fixed.compile("sgd", "mse")
    with pytest.raises(ArgumentValueError, match="batches of 4 and of no other size"):
        find(fixed, np.ones((4, 5, 2)), np.ones((4, 1)))
    for options in ({"maximum": 0}, {"maximum": 2.5}, {"limit_bytes": -1}, {"policy": "float16"}):
        with pytest.raises(ArgumentValueError):
            find(small(), *ONE, **options)
    for data in ((None,), (np.ones((0, 2)),), (np.ones(()),), (ONE[0], np.ones((2, 1)))):
        with pytest.raises(ArgumentValueError, match="examples"):
            find(small(), *data)

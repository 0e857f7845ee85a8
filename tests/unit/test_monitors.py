"""EarlyStopping, ReduceLROnPlateau and BestWeights of loops of one's own decide as Keras' callbacks do in fit."""

from __future__ import annotations

import functools
import json
import math

import keras
import numpy as np
import pytest

import unikeras as uk
from unikeras.errors import ArgumentError, ArgumentValueError, StateError

RNG = np.random.default_rng(0)
NAN, INF = math.nan, math.inf
SEQUENCES = {
    "falls": [1.0, 0.9, 0.8, 0.7],
    "ties": [0.5, 0.5, 0.5, 0.5, 0.4, 0.4],
    "nearly ties": [0.1, 0.1 - 1e-10, 0.1 - 2e-10, 0.1 - 1e-6],
    "rises": [0.5, 0.4, 0.6, 0.7, 0.8, 0.3, 0.9, 0.9],
    "NaN inside": [0.5, NAN, 0.4, NAN, NAN, NAN, 0.1],
    "NaN first": [NAN, 0.5, 0.4, 0.3],
    "infinite": [INF, INF, 0.5, -INF, -INF, NAN, INF],
    "large": [3e38, 2e38, 3e38, 1.0],
    "one": [0.3],
    **{f"random {i}": [float(v) for v in RNG.integers(0, 6, 14) / 5] for i in range(4)},
}
every_sequence = pytest.mark.parametrize("values", SEQUENCES.values(), ids=SEQUENCES)


def model_of():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    return model


@functools.cache
def shared(number):
    """Return one of the models that all sequences share."""
    return model_of()


def mark(model, epoch):
    """Give the weights a number by which they are known again."""
    model.set_weights([np.full(w.shape, epoch, "float32") for w in model.get_weights()])


def epoch_of(model):
    return int(model.get_weights()[0][0, 0])


def drive(callback, values, watched):
    """Call a callback of Keras as fit does; return what `watched` says after each epoch."""
    model, seen = shared(0), []
    model.optimizer.learning_rate = 0.5
    callback.set_model(model)
    model.stop_training = False
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        mark(model, epoch)
        callback.on_epoch_end(epoch, {"v": value})
        seen.append(watched(model))
        if model.stop_training:
            break
    callback.on_train_end()
    return seen, epoch_of(model)


STOPPING = {
    "default": {},
    "patience": {"patience": 2},
    "delta": {"patience": 1, "min_delta": 0.15},
    "baseline": {"patience": 2, "baseline": 0.45},
    "start": {"patience": 1, "start_from": 2},
    "max": {"patience": 2, "mode": "max", "min_delta": 0.1},
}


@every_sequence
@pytest.mark.parametrize("options", STOPPING.values(), ids=STOPPING)
def test_early_stopping_decides_as_the_callback(values, options):
    theirs = {"mode": "min"} | options
    theirs["start_from_epoch"] = theirs.pop("start_from", 0)
    callback = keras.callbacks.EarlyStopping("v", restore_best_weights=True, **theirs)
    expected, best_epoch = drive(callback, values, lambda model: bool(model.stop_training))
    model = shared(1)
    stopping, stops = uk.training.EarlyStopping(**options, model=model), []
    for epoch, value in enumerate(values):
        mark(model, epoch)
        stops.append(stopping.update(value))
        if stops[-1]:
            break
    if not stopping.stopped:
        stopping.restore_weights()
    assert stops == expected
    assert epoch_of(model) == best_epoch
    assert stopping.wait == callback.wait
    assert repr(stopping.best) == repr(callback.best)


PLATEAU = {
    "default": {},
    "patience": {"patience": 1, "factor": 0.5},
    "cooldown": {"patience": 1, "cooldown": 2},
    "long cooldown": {"patience": 2, "cooldown": 3, "min_delta": 0.0},
    "least": {"patience": 1, "factor": 0.5, "min_lr": 0.2},
    "max": {"patience": 1, "mode": "max", "min_delta": 0.15},
    "no patience": {"patience": 0, "factor": 0.9},
}


@every_sequence
@pytest.mark.parametrize("options", PLATEAU.values(), ids=PLATEAU)
def test_the_plateau_reduces_as_the_callback(values, options):
    callback = keras.callbacks.ReduceLROnPlateau("v", **({"mode": "min"} | options))
    expected, _ = drive(callback, values, lambda model: float(model.optimizer.learning_rate))
    optimizer = keras.optimizers.SGD(0.5)
    plateau, rates = uk.training.ReduceLROnPlateau(optimizer, **options), []
    for value in values:
        before = float(optimizer.learning_rate)
        reduced = plateau.update(value)
        rates.append(float(optimizer.learning_rate))
        assert reduced == (rates[-1] < before)
    assert rates == expected


@every_sequence
@pytest.mark.parametrize("mode", ["min", "max"])
def test_best_weights_are_those_that_the_callback_saves(values, mode, tmp_path):
    file = tmp_path / "best.weights.h5"
    callback = keras.callbacks.ModelCheckpoint(
        file, "v", save_best_only=True, save_weights_only=True, mode=mode
    )
    drive(callback, values, lambda model: None)
    model = shared(1)
    best = uk.training.BestWeights(model, mode)
    for epoch, value in enumerate(values):
        mark(model, epoch)
        best.update(value)
    best.restore_weights()
    saved = shared(0)
    saved.load_weights(file)
    assert epoch_of(model) == epoch_of(saved)


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_restored_state_goes_on_as_before(cut):
    values = SEQUENCES["rises"]

    def made(model):
        return (
            uk.training.EarlyStopping(3, model=model, baseline=0.45),
            uk.training.ReduceLROnPlateau(model.optimizer, patience=1, cooldown=1),
            uk.training.BestWeights(model),
        )

    def go_on(model, monitors, numbers):
        answers = []
        for epoch in numbers:
            mark(model, epoch)
            answers.append([monitor.update(values[epoch]) for monitor in monitors])
        monitors[2].restore_weights()
        return answers, epoch_of(model), [_plain(monitor.state) for monitor in monitors]

    model = model_of()
    monitors = made(model)
    go_on(model, monitors, range(cut))
    other = model_of()
    other.optimizer.learning_rate = float(model.optimizer.learning_rate)
    restored = made(other)
    for monitor, saved in zip(restored, monitors, strict=True):
        monitor.restore(saved.state)
    rest = range(cut, len(values))
    assert go_on(other, restored, rest) == go_on(model, monitors, rest)


def _plain(state):
    """Return a state with lists for arrays; it holds nothing that JSON and numpy do not know."""
    return json.loads(json.dumps(state, default=lambda array: array.tolist()))


def test_a_state_keeps_its_weights():
    model = model_of()
    best = uk.training.BestWeights(model)
    mark(model, 1)
    best.update(0.5)
    state = best.state
    mark(model, 2)
    best.update(0.4)
    np.testing.assert_array_equal(state["weights"][0], np.ones((2, 1)))
    best.restore(state)
    best.restore_weights()
    assert epoch_of(model) == 1


def test_a_plateau_inside_a_compiled_loop():
    model = model_of()

    @uk.function
    def step(x):
        with uk.GradientTape() as tape:
            loss = keras.ops.sum(model(x))
        model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

    x = np.ones((1, 2), "float32")
    before = epoch_of(model), model.get_weights()[1][0]
    step(x)
    plateau = uk.training.ReduceLROnPlateau(model.optimizer, factor=0.5, patience=1)
    plateau.update(1.0)
    plateau.update(keras.ops.ones(()))
    step(x)
    assert step.trace_count == 1
    np.testing.assert_allclose(model.get_weights()[1][0], before[1] - 0.5 - 0.25)


def test_optimizers_that_consist_of_others():
    inner = [keras.optimizers.SGD(0.5), keras.optimizers.SGD(0.25)]
    parts = keras.optimizers.OptimizerMap(inner[0], {"a": inner[1]})
    plateau = uk.training.ReduceLROnPlateau(keras.optimizers.MultiOptimizer(parts), factor=0.5, patience=1)
    plateau.update(1.0)
    assert plateau.update(1.0)
    assert [float(one.learning_rate) for one in inner] == [0.25, 0.125]
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5))
    plateau = uk.training.ReduceLROnPlateau(scaled, factor=0.5, patience=1)
    plateau.update(1.0)
    plateau.update(1.0)
    assert float(scaled.learning_rate) == 0.25


def test_numbers_beyond_the_float_type():
    stopping = uk.training.EarlyStopping(1)
    assert [stopping.update(value) for value in (1e300, 1e299, 1.0, 10**30)] == [False, True, False, True]


def test_what_is_refused():
    optimizer = keras.optimizers.SGD(0.1)
    schedule = keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 10))
    for make in (
        lambda: uk.training.EarlyStopping(-1),
        lambda: uk.training.EarlyStopping(1.5),
        lambda: uk.training.EarlyStopping(True),
        lambda: uk.training.EarlyStopping(mode="auto"),
        lambda: uk.training.ReduceLROnPlateau(optimizer, factor=1.0),
        lambda: uk.training.ReduceLROnPlateau(optimizer, cooldown=-1),
    ):
        with pytest.raises(ArgumentValueError):
            make()
    with pytest.raises(ArgumentError, match="schedule"):
        uk.training.ReduceLROnPlateau(schedule)
    with pytest.raises(ArgumentError, match="Keras optimizer"):
        uk.training.ReduceLROnPlateau("adam")
    with pytest.raises(ArgumentError, match="not built"):
        uk.training.EarlyStopping(model=keras.Sequential([keras.layers.Dense(1)]))
    with pytest.raises(ArgumentError, match=r"keras\.Model"):
        uk.training.BestWeights(optimizer)
    for wrong in ("0.5", None, [0.1, 0.2], {}):
        with pytest.raises(ArgumentError, match="one number"):
            uk.training.EarlyStopping().update(wrong)


def test_states_of_others_are_refused():
    stopping, plateau = uk.training.EarlyStopping(), uk.training.ReduceLROnPlateau(keras.optimizers.SGD(0.1))
    with pytest.raises(StateError, match="EarlyStopping"):
        stopping.restore(plateau.state)
    with pytest.raises(StateError, match="ReduceLROnPlateau"):
        plateau.restore([])
    with pytest.raises(StateError, match="without a model"):
        uk.training.EarlyStopping(model=model_of()).restore(stopping.state)
    best = uk.training.BestWeights(model_of())
    best.update(0.1)
    wide = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    with pytest.raises(StateError, match=r"\(3, 1\)"):
        uk.training.BestWeights(wide).restore(best.state)

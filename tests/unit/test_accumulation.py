"""Several micro-batches are one batch: for each optimizer's option, eagerly, compiled and in fit."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import optimizers

import unikeras as uk
from unikeras.errors import ArgumentError, ArgumentValueError, StateError

RNG = np.random.default_rng(0)
STEPS, SIZE, GROUPS = 3, 2, 3
X = RNG.normal(size=(STEPS * SIZE * GROUPS, 3)).astype("float32")
Y = (X[:, :1] * 2 + 1).astype("float32")
FALLING = [0.1, 0.05]


def falling():
    return optimizers.schedules.PiecewiseConstantDecay([1], FALLING)


OPTIMIZERS = {
    "momentum": lambda: optimizers.SGD(0.1, momentum=0.9),
    "decay": lambda: optimizers.AdamW(falling(), weight_decay=0.1, epsilon=1e-3),
    "clipnorm": lambda: optimizers.SGD(0.1, clipnorm=0.5),
    "global norm": lambda: optimizers.RMSprop(0.1, global_clipnorm=0.5, epsilon=1e-3),
    "average": lambda: optimizers.SGD(0.1, use_ema=True, ema_momentum=0.7),
    "overwritten": lambda: optimizers.Adam(
        0.1, epsilon=1e-3, use_ema=True, ema_momentum=0.7, ema_overwrite_frequency=2
    ),
    "scaled": lambda: optimizers.LossScaleOptimizer(optimizers.SGD(0.1, momentum=0.9), initial_scale=8.0),
    "several": lambda: optimizers.MultiOptimizer(
        optimizers.OptimizerMap(optimizers.SGD(0.1), {".*bias": optimizers.SGD(0.2, momentum=0.5)})
    ),
}


def model_of():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.set_weights([np.full(w.shape, 0.3, "float32") for w in model.get_weights()])
    return model


def batches(size):
    return [(X[i : i + size], Y[i : i + size]) for i in range(0, len(X), size)]


def by_hand(optimizer, size, compiled):
    model = model_of()

    def step(x, y):
        with uk.GradientTape() as tape:
            loss = optimizer.scale_loss(keras.ops.mean(keras.ops.square(keras.ops.subtract(model(x), y))))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

    optimizer.build(model.trainable_variables)
    step = uk.function(step) if compiled else step
    history = []
    for x, y in batches(size):
        step(x, y)
        history.append(model.get_weights())
    return model, history


def by_fit(optimizer, size):
    model = uk.Model.from_keras(model_of())
    model.compile(optimizer, "mse")
    model.fit(X, Y, batch_size=size, epochs=1, shuffle=False, verbose=0)
    return model


def assert_equal_weights(first, second):
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def finished(model, optimizer):
    optimizer.finalize_variable_values(model.trainable_variables)
    return model.get_weights()


@pytest.mark.parametrize(
    ("name", "compiled"), [*((name, True) for name in OPTIMIZERS), ("overwritten", False), ("scaled", False)]
)
def test_micro_batches_are_one_batch(name, compiled):
    whole, parts = OPTIMIZERS[name](), uk.training.accumulate(OPTIMIZERS[name](), STEPS)
    large, updates = by_hand(whole, SIZE * STEPS, compiled=True)
    small, seen = by_hand(parts, SIZE, compiled)
    for number, expected in enumerate(updates):
        assert_equal_weights(seen[STEPS * (number + 1) - 1], expected)
    between = seen[STEPS : 2 * STEPS - 1]
    assert all(
        np.array_equal(a, b) for weights in between for a, b in zip(weights, seen[STEPS - 1], strict=True)
    )
    assert_equal_weights(finished(small, parts), finished(large, whole))


@pytest.mark.parametrize("name", ["decay", "overwritten", "scaled"])
def test_micro_batches_are_one_batch_in_fit(name):
    parts = uk.training.accumulate(OPTIMIZERS[name](), STEPS)
    assert_equal_weights(
        by_fit(parts, SIZE).get_weights(), by_fit(OPTIMIZERS[name](), SIZE * STEPS).get_weights()
    )


def test_a_group_that_is_not_full_goes_on_in_the_next_epoch():
    model = uk.Model.from_keras(model_of())
    model.compile(uk.training.accumulate(optimizers.SGD(0.1), 2), "mse")
    before = model.get_weights()
    x, y = X[:6], Y[:6]
    model.fit(x, y, batch_size=2, shuffle=False, verbose=0)
    expected = uk.Model.from_keras(model_of())
    expected.compile(optimizers.SGD(0.1), "mse")
    expected.train_on_batch(x[:4], y[:4])
    assert_equal_weights(model.get_weights(), expected.get_weights())
    assert not np.array_equal(before[0], model.get_weights()[0])
    model.fit(x, y, batch_size=2, shuffle=False, verbose=0)
    for rows in (np.r_[4:6, 0:2], np.r_[2:6]):
        expected.train_on_batch(x[rows], y[rows])
    assert_equal_weights(model.get_weights(), expected.get_weights())


def test_a_micro_batch_that_is_not_finite_is_replaced_by_the_next():
    model = model_of()
    optimizer = uk.training.accumulate(optimizers.LossScaleOptimizer(optimizers.SGD(0.1)), 2)
    optimizer.build(model.trainable_variables)
    expected = model_of()
    plain = optimizers.SGD(0.1)
    for gradient in (1.0, np.inf, 3.0):
        gradients = [keras.ops.full(w.shape, gradient) for w in model.trainable_variables]
        scaled = [optimizer.scale_loss(g) for g in gradients]
        optimizer.apply(scaled, model.trainable_variables)
    plain.apply([keras.ops.full(w.shape, 2.0) for w in expected.weights], expected.trainable_variables)
    assert_equal_weights(model.get_weights(), expected.get_weights())


def test_what_is_refused():
    built = optimizers.SGD(0.1)
    built.build(model_of().trainable_variables)
    with pytest.raises(StateError, match="built already"):
        uk.training.accumulate(built, 2)
    assert uk.training.accumulate(built, 1) is built
    for steps in (0, -1, 2.0, True, "2", None):
        with pytest.raises(ArgumentValueError, match="steps"):
            uk.training.accumulate(optimizers.SGD(0.1), steps)
    with pytest.raises(ArgumentError, match="Keras optimizer"):
        uk.training.accumulate("sgd", 2)
    with pytest.raises(ArgumentError, match="finds its optimizers"):
        uk.training.accumulate(optimizers.MultiOptimizer(lambda variable: built), 2)
    assert built.gradient_accumulation_steps is None

"""Control flow of keras.ops whose bodies assign to variables, draw random numbers, or nest."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from helpers.arrays import numpy
from keras import ops

import unikeras as uk
from unikeras.errors import TransformError

X = np.arange(6, dtype="float32").reshape(3, 2)


@pytest.fixture
def here():
    """The name of the backend that this test runs on."""
    return uk.backend()


def eagerly(f):
    """Run a function under a tape, where unikeras meets control flow that is not compiled."""

    def run(*args):
        with uk.GradientTape():
            return f(*args)

    return run


both = pytest.mark.parametrize("how", [uk.function, eagerly], ids=["function", "eager"])


def fori(add, x):
    def body(i, total):
        add(x[i])
        return total + 1.0

    return ops.fori_loop(0, 3, body, 0.0)


def scan(add, x):
    def body(total, row):
        add(row)
        return total + 1.0, ops.sum(row)

    return ops.scan(body, ops.zeros(()), x)[0]


def mapped(add, x):
    def body(row):
        add(row)
        return ops.ones(())

    return ops.sum(ops.map(body, x))


def while_loop(add, x):
    def body(i, total):
        add(x[i])
        return i + 1, total + 1.0

    return ops.while_loop(lambda i, total: i < 3, body, (ops.convert_to_tensor(0), ops.zeros(())))[1]


def while_loop_of_one(add, x):
    def body(i):
        add(x[i])
        return i + 1

    return ops.cast(ops.while_loop(lambda i: i < 3, body, ops.convert_to_tensor(0)), "float32")


def while_loop_of_few(add, x):
    def body(i):
        add(x[i])
        return (i + 1,)

    last = ops.while_loop(lambda i: i < 100, body, (ops.convert_to_tensor(0),), maximum_iterations=3)
    return ops.cast(last[0], "float32")


def switch(add, x):
    def second(rows):
        add(ops.sum(rows, 0))
        return ops.convert_to_tensor(3.0)

    def never(rows):
        add(rows[0])
        return ops.convert_to_tensor(0.0)

    return ops.switch(ops.convert_to_tensor(1), [never, second, never], x)


def cond(add, x):
    def true():
        add(ops.sum(x, 0))
        return ops.convert_to_tensor(3.0)

    return ops.cond(ops.sum(x) > 0, true, lambda: ops.convert_to_tensor(0.0))


def cond_in_scan(add, x):
    def body(total, row):
        ops.cond(ops.sum(row) > 1.5, lambda: (add(row), row)[1], lambda: row)
        return total + 1.0, ops.sum(row)

    total = ops.scan(body, ops.zeros(()), x)[0]
    add(x[0])
    return total


def scan_in_cond(add, x):
    return ops.cond(ops.sum(x) > 0, lambda: scan(add, x), lambda: ops.zeros(()))


LOOPS = [
    fori,
    scan,
    mapped,
    while_loop,
    while_loop_of_one,
    while_loop_of_few,
    switch,
    cond,
    cond_in_scan,
    scan_in_cond,
]


@both
@pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.__name__)
def test_what_a_body_assigns_stays(loop, how):
    total = keras.Variable(np.zeros(2, "float32"), trainable=False)
    calls = keras.Variable(0, dtype="int32", trainable=False)

    def add(row):
        total.assign_add(row)
        calls.assign_add(1)

    result = how(lambda x: loop(add, x))(ops.convert_to_tensor(X))
    assert float(numpy(result)) == 3.0
    np.testing.assert_array_equal(numpy(total), X.sum(0))
    assert int(numpy(calls)) == (1 if loop in (cond, switch) else 3)
    assert keras.backend.standardize_dtype(calls.value.dtype) == "int32"


def test_a_condition_reads_what_the_body_assigns():
    count = keras.Variable(0.0, trainable=False)

    @uk.function
    def run():
        def body(i):
            count.assign_add(2.0)
            return (i + 1,)

        return ops.while_loop(lambda i: count.value < 7.0, body, (ops.convert_to_tensor(0),))[0]

    assert int(numpy(run())) == 4
    assert float(numpy(count)) == 8.0


# Keras' scan on TensorFlow returns, for each iteration, what has the carry's shape (3.15).
DRAWS = {
    "map": lambda draw, x: ops.map(draw, x),
    "scan": lambda draw, x: ops.scan(lambda carry, row: (carry, draw(row)), ops.zeros_like(x[0]), x)[1],
}


@pytest.mark.parametrize("loop", DRAWS.values(), ids=DRAWS)
def test_every_iteration_draws_another_mask_and_the_same_ones_everywhere(loop):
    x = ops.ones((4, 32))
    masks, states = [], []
    for how in (uk.function, eagerly):
        dropout = keras.layers.Dropout(0.5, seed=3)
        dropout.build((None, 32))
        run = how(lambda x, d=dropout: loop(lambda row: d(row[None], training=True)[0], x))
        masks.append(numpy(run(x)))
        states.append(numpy(dropout.seed_generator.state))
    python = keras.layers.Dropout(0.5, seed=3)
    one_by_one = [numpy(python(x[i][None], training=True)[0]) for i in range(4)]
    np.testing.assert_array_equal(masks[0], one_by_one)
    np.testing.assert_array_equal(masks[1], one_by_one)
    np.testing.assert_array_equal(states[0], numpy(python.seed_generator.state))
    np.testing.assert_array_equal(states[1], states[0])
    assert len(np.unique(masks[0], axis=0)) == 4


@both
@pytest.mark.parametrize("loop", DRAWS.values(), ids=DRAWS)
def test_the_gradient_goes_through_the_masks_that_were_drawn(loop, how):
    dropout = keras.layers.Dropout(0.5, seed=1)
    dropout.build((None, 8))
    weight = keras.Variable(np.ones((3, 8), "float32"))

    def run():
        with uk.GradientTape() as tape:
            y = loop(lambda row: dropout(row[None], training=True)[0], ops.multiply(weight, 1.0))
            total = ops.sum(y)
        return y, tape.gradient(total, weight)

    y, gradient = how(run)()
    np.testing.assert_array_equal(numpy(gradient), numpy(y))


@both
def test_a_variable_read_in_a_body_gets_its_gradient(how):
    weight = keras.Variable([2.0, 3.0])
    total = keras.Variable(0.0, trainable=False)

    def run(x):
        def body(carry, row):
            y = ops.sum(row * weight)
            total.assign_add(uk.stop_gradient(y))
            return carry + y, y

        with uk.GradientTape() as tape:
            loss = ops.scan(body, ops.zeros(()), x)[0]
        return tape.gradient(loss, weight)

    np.testing.assert_allclose(numpy(how(run)(ops.convert_to_tensor(X))), X.sum(0))
    assert float(numpy(total)) == float((X @ [2.0, 3.0]).sum())


def test_statistics_move_once_an_iteration():
    norm = keras.layers.BatchNormalization(momentum=0.5)
    norm.build((None, 1))
    x = np.array([[[1.0], [3.0]], [[5.0], [9.0]]], "float32")
    uk.function(lambda x: ops.map(lambda batch: norm(batch, training=True), x))(x)
    assert float(numpy(norm.moving_mean)[0]) == 0.5 * (0.5 * 0.0 + 0.5 * 2.0) + 0.5 * 7.0


def test_carries_and_results_in_structures():
    total = keras.Variable(0.0, trainable=False)

    @uk.function
    def run(x):
        def body(carry, row):
            total.assign_add(ops.sum(row))
            return {"n": carry["n"] + 1.0, "last": row}, {"n": carry["n"], "last": row * 2.0}

        return ops.scan(body, {"n": ops.zeros(()), "last": ops.zeros((2,))}, x)

    carry, results = run(X)
    assert float(numpy(carry["n"])) == 3.0
    np.testing.assert_array_equal(numpy(carry["last"]), X[-1])
    np.testing.assert_array_equal(numpy(results["n"]), [0.0, 1.0, 2.0])
    np.testing.assert_array_equal(numpy(results["last"]), 2 * X)
    assert float(numpy(total)) == 15.0


def test_an_optimizer_that_the_first_call_builds_scales_its_loss():
    policy = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        model = keras.Sequential(
            [keras.Input((2,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")]
        )
    finally:
        keras.mixed_precision.set_dtype_policy(policy)
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.5), initial_scale=4.0, dynamic_growth_steps=2
    )

    @uk.function
    def step(x):
        with uk.GradientTape() as tape:
            loss = ops.mean(ops.cast(model(x, training=True), "float32"))
            scaled = optimizer.scale_loss(loss)
        optimizer.apply(tape.gradient(scaled, model.trainable_variables), model.trainable_variables)

    for x, kernel, scale in (
        ([[1.0, 2.0]], [0.5, 0.0], 4.0),
        ([[6e4, 6e4]], [0.5, 0.0], 2.0),  # the gradient overflows: the step is skipped, the scale halved
        ([[1.0, 0.0]], [0.0, 0.0], 2.0),
        ([[0.0, 1.0]], [0.0, -0.5], 4.0),
    ):
        step(np.array(x, "float32"))
        np.testing.assert_allclose(numpy(model.weights[0].value).ravel(), kernel)
        assert float(numpy(optimizer.dynamic_scale)) == scale


def test_a_body_that_creates_variables_works_or_is_refused_by_name(here):
    dense = keras.layers.Dense(2, name="made_in_a_loop")
    run = eagerly(lambda x: ops.map(lambda row: dense(row[None])[0], x))
    if here != "jax":
        assert tuple(run(ops.ones((3, 2))).shape) == (3, 2)
        return
    with pytest.raises(TransformError, match="made_in_a_loop/kernel"):
        run(ops.ones((3, 2)))

"""The laws of a compiled function: the same results and the same state as the Python function."""

from __future__ import annotations

import gc
import weakref

import keras
import numpy as np
import pytest
from keras import layers, ops

import unikeras as uk
from unikeras.errors import ArgumentError

pytestmark = pytest.mark.usefixtures("backend")


def numpy(x):
    return ops.convert_to_numpy(x)


def test_state_is_read_before_and_written_after_each_call():
    total = keras.Variable(1.0)

    @uk.function
    def add(x):
        total.assign_add(x)
        return total * 2.0

    assert [float(numpy(add(ops.convert_to_tensor(v)))) for v in (1.0, 2.0)] == [4.0, 8.0]
    total.assign(10.0)
    assert float(numpy(add(ops.convert_to_tensor(5.0)))) == 30.0
    assert float(numpy(total)) == 15.0


def test_numpy_arrays_arrive_as_tensors(backend):
    @uk.function
    def check(x, nested):
        assert backend.is_tensor(x)
        assert backend.is_tensor(nested["y"])
        return x + nested["y"]

    np.testing.assert_array_equal(numpy(check(np.ones(2, "float32"), {"y": np.ones(2, "float32")})), [2, 2])


def test_nested_structures_come_back():
    @uk.function
    def pack(x):
        return {"a": x, "b": (x + 1.0, [x * 2.0]), "none": None}

    result = pack(ops.convert_to_tensor(3.0))
    assert set(result) == {"a", "b", "none"}
    assert result["none"] is None
    assert float(numpy(result["b"][1][0])) == 6.0


def test_python_values_choose_a_trace():
    @uk.function
    def scale(x, factor, flag=False):
        return x * factor if flag else x

    x = ops.convert_to_tensor(3.0)
    assert [float(numpy(y)) for y in (scale(x, 2.0), scale(x, 2.0, flag=True), scale(x, 5.0, flag=True))] == [
        3.0,
        6.0,
        15.0,
    ]


def test_new_shapes_are_new_traces():
    @uk.function
    def total(x):
        return ops.sum(x)

    assert [float(numpy(total(np.ones(n, "float32")))) for n in (2, 3, 2)] == [2.0, 3.0, 2.0]


def _steps(compile_step):
    """Train a small model for three steps; return losses and all state."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dense(1)]
    )
    rng = np.random.default_rng(0)
    model.set_weights([abs(rng.normal(size=v.shape)) for v in model.weights])
    optimizer, metric = keras.optimizers.Adam(0.1), keras.metrics.MeanSquaredError()
    x, y = rng.normal(size=(16, 4)).astype("float32"), rng.normal(size=(16, 1)).astype("float32")

    def step(x, y):
        with uk.GradientTape() as tape:
            prediction = model(x, training=True)
            loss = ops.mean((prediction - y) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        metric.update_state(y, prediction)
        return loss

    run = compile_step(step)
    losses = [
        float(numpy(loss))
        for loss in (run(ops.convert_to_tensor(x), ops.convert_to_tensor(y)) for _ in range(3))
    ]
    state = [*model.variables, *optimizer.variables, *metric.variables]
    return losses, [numpy(variable.value) for variable in state], float(numpy(metric.result()))


@pytest.mark.parametrize("jit_compile", [False, "auto"])
def test_a_train_step_is_the_eager_one_compiled(jit_compile):
    losses, state, metric = _steps(lambda step: step)
    compiled_losses, compiled_state, compiled_metric = _steps(uk.function(jit_compile=jit_compile))
    np.testing.assert_allclose(compiled_losses, losses, rtol=1e-5)
    np.testing.assert_allclose(compiled_metric, metric, rtol=1e-5)
    for ours, eager in zip(compiled_state, state, strict=True):
        np.testing.assert_allclose(ours, eager, rtol=1e-4, atol=1e-6)


def test_randomness_moves_on_from_call_to_call():
    dropout = layers.Dropout(0.5, seed=1)
    drop = uk.function(lambda x: dropout(x, training=True))
    x = np.ones(64, "float32")
    assert not np.array_equal(numpy(drop(x)), numpy(drop(x)))


def test_a_model_and_an_optimizer_may_be_built_in_the_first_call():
    model, optimizer = keras.Sequential([layers.Dense(1)]), keras.optimizers.SGD(0.1)

    @uk.function
    def step(x):
        with uk.GradientTape() as tape:
            loss = ops.mean(model(x) ** 2)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    x = np.ones((2, 3), "float32")
    losses = [float(numpy(step(x))) for _ in range(3)]
    assert losses[0] > losses[1] > losses[2]
    assert int(numpy(optimizer.iterations)) == 3


def test_two_variables_may_hold_one_array():
    a, b = keras.Variable([1.0, 2.0]), keras.Variable([0.0, 0.0])
    b.assign(a)

    @uk.function
    def step():
        a.assign_add([1.0, 1.0])
        b.assign(b * 10.0)

    step()
    step()
    assert numpy(a.value).tolist() == [3.0, 4.0]
    assert numpy(b.value).tolist() == [100.0, 200.0]


def test_an_argument_may_be_the_state_itself():
    a = keras.Variable([1.0, 2.0])

    @uk.function
    def step(x):
        a.assign_add(x)
        return a + 0.0

    assert numpy(step(ops.convert_to_tensor(a))).tolist() == [2.0, 4.0]


def test_functions_call_functions():
    count = keras.Variable(0.0)

    @uk.function
    def inner(x):
        count.assign_add(1.0)
        return x * 2.0

    @uk.function
    def outer(x):
        return inner(inner(x))

    assert float(numpy(outer(ops.convert_to_tensor(3.0)))) == 12.0
    assert float(numpy(outer(ops.convert_to_tensor(3.0)))) == 12.0
    assert float(numpy(count)) == 4.0


def test_an_outer_tape_sees_through_a_compiled_function():
    weight = keras.Variable([2.0, 3.0])
    calls = keras.Variable(0.0, trainable=False)

    @uk.function
    def forward(x):
        calls.assign_add(1.0)
        return ops.sum(weight * weight * x)

    x = ops.convert_to_tensor(np.array([1.0, 10.0], "float32"))
    for _ in range(2):
        with uk.GradientTape() as tape:
            tape.watch(x)
            y = forward(x)
        gradients = tape.gradient(y, [weight, x])
        np.testing.assert_allclose(numpy(gradients[0]), [4.0, 60.0])
        np.testing.assert_allclose(numpy(gradients[1]), [4.0, 9.0])
    assert float(numpy(calls)) == 2.0


def test_an_exception_while_tracing_leaves_the_variables_alone():
    a = keras.Variable(1.0)

    @uk.function
    def step(x, fail):
        if fail:
            raise KeyError("before anything was written")
        a.assign_add(x)
        return a * 1.0

    with pytest.raises(KeyError, match="before anything"):
        step(ops.ones(()), True)
    assert float(numpy(a)) == 1.0
    assert float(numpy(step(ops.ones(()), False))) == 2.0


class Counter:
    def __init__(self):
        self.count = keras.Variable(0.0)

    @uk.function
    def add(self, x):
        self.count.assign_add(x)
        return self.count * 1.0


def test_methods_are_compiled_for_each_instance():
    one, two = Counter(), Counter()
    one.add(ops.ones(()))
    one.add(ops.ones(()))
    two.add(ops.ones(()))
    assert float(numpy(one.count)) == 2.0
    assert float(numpy(two.count)) == 1.0
    assert "Counter.add" in repr(Counter.add)


def test_an_instance_with_a_compiled_method_can_be_collected():
    counter = Counter()
    bound = counter.add  # compiled lazily: reaching for the method is what could keep the instance alive
    gone = weakref.ref(counter)
    del counter, bound
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("argument", [{"jit_compile": "always"}, {"f": 3}])
def test_wrong_arguments_are_named(argument):
    with pytest.raises(ArgumentError, match=r"always|int"):
        uk.function(**argument)

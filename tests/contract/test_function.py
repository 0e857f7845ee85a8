"""The contract of a compiled function: the same results and the same state as the Python function."""

from __future__ import annotations

import contextlib
import copy
import functools
import gc
import pickle
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from helpers.arrays import numpy
from keras import layers, ops

import unikeras as uk
from unikeras.errors import ArgumentError, ArgumentValueError, GradientError, LeakedTensorError, StateError

pytestmark = pytest.mark.usefixtures("backend")


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


def test_wrong_arguments_are_named():
    with pytest.raises(ArgumentValueError, match=r"always"):
        uk.function(jit_compile="always")
    with pytest.raises(ArgumentError, match=r"int"):
        uk.function(3)


def add_one_and_fail(variable, error):
    variable.assign_add(1.0)
    raise error


def test_what_raises_in_python_changes_nothing():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2), layers.BatchNormalization()])
    optimizer, metric = keras.optimizers.Adam(0.1), keras.metrics.Mean()
    optimizer.build(model.trainable_variables)

    @uk.function
    def step(x, fail):
        with uk.GradientTape() as tape:
            loss = ops.mean(model(x, training=True) ** 2)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        metric.update_state(loss)
        if fail:
            raise KeyError("after everything was written")
        return loss

    x = np.ones((4, 3), "float32")
    step(x, False)
    state = [*model.variables, *optimizer.variables, *metric.variables]
    before = [numpy(variable.value).copy() for variable in state]
    with pytest.raises(KeyError, match="after everything"):
        step(x, True)
    for variable, value in zip(state, before, strict=True):
        np.testing.assert_array_equal(numpy(variable.value), value, err_msg=variable.path)
    step(x, False)
    assert int(numpy(optimizer.iterations)) == 2


def test_equal_calls_share_a_trace(backend):
    runs = []

    @uk.function
    def double(x, mode):
        runs.append(mode)
        return x * 2.0

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(5):
            double(np.ones(3, "float32"), mode="a")
    assert double.trace_count == 1
    assert len(runs) <= 3


def test_a_changing_last_batch_costs_one_more_trace():
    @uk.function
    def total(x):
        return ops.sum(x, axis=0)

    for size in (64, 64, 17, 64, 17, 64):
        assert float(numpy(total(np.ones((size, 2), "float32")))[0]) == size
    assert total.trace_count <= 2


def test_python_values_of_different_types_are_different():
    @uk.function
    def kind(x, value):
        return x * (10.0 if value is True else 1.0)

    x = ops.ones(())
    assert [float(numpy(kind(x, value))) for value in (1, True, 1.0)] == [1.0, 10.0, 1.0]


def test_python_values_come_back_as_they_are():
    @uk.function
    def describe(x):
        return {"sum": ops.sum(x), "rank": len(x.shape), "size": x.shape[1], "name": "x", "none": None}

    for size in (2, 3, 2):
        result = describe(np.ones((4, size), "float32"))
        assert result["rank"] == 2
        assert result["name"] == "x"
        assert result["none"] is None
        assert float(numpy(result["sum"])) == 4 * size


def test_static_arguments_arrive_as_they_are(backend):
    @uk.function(static_argnames="sizes")
    def reshape(x, sizes):
        assert isinstance(sizes, tuple)
        return ops.reshape(x, sizes)

    x = np.ones(6, "float32")
    assert tuple(reshape(x, (2, 3)).shape) == (2, 3)
    assert tuple(reshape(x, sizes=(3, 2)).shape) == (3, 2)
    with pytest.raises(ArgumentValueError, match=r"'shape'.*x, sizes"):
        uk.function(lambda x, sizes: x, static_argnames="shape")


def test_a_variable_as_an_argument_is_itself():
    @uk.function
    def add(variable, x):
        variable.assign_add(x)
        return variable * 1.0

    one, two = keras.Variable(1.0), keras.Variable(10.0)
    assert [float(numpy(add(v, ops.ones(())))) for v in (one, two, one)] == [2.0, 11.0, 3.0]
    assert [float(numpy(one)), float(numpy(two))] == [3.0, 11.0]


def test_variables_of_a_later_run_are_refused():
    kept = {}

    @uk.function
    def grow(x):
        kept[len(kept)] = keras.Variable(1.0, name="grown")
        return x + kept[len(kept) - 1]

    with pytest.raises(StateError, match=r"later run of .* creates"):
        grow(ops.ones(())) + grow(ops.ones(()))


def test_a_variable_may_be_created_once():
    holder = {}

    @uk.function
    def count(x):
        if "n" not in holder:
            holder["n"] = keras.Variable(10.0)
        holder["n"].assign_add(x)
        return holder["n"] * 1.0

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [float(numpy(count(ops.ones(())))) for _ in range(3)] == [11.0, 12.0, 13.0]


def test_a_flag_reaches_other_variables():
    a, b = keras.Variable(0.0), keras.Variable(0.0)

    @uk.function
    def add(x, to_b=False):
        (b if to_b else a).assign_add(x)

    for flag in (False, True, True, False, True):
        add(ops.ones(()), flag)
    assert [float(numpy(a)), float(numpy(b))] == [2.0, 3.0]


def test_many_retraces_are_warned_of_once_and_named(backend):
    @uk.function
    def scale(x, rate):
        return x * rate

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for i in range(12):
            scale(ops.ones(()), i / 8)
    messages = [str(w.message) for w in caught if "traced" in str(w.message)]
    assert len(messages) == 1
    assert "9 times" in messages[0]
    assert "'rate' was 0.0, 0.125" in messages[0]
    assert "'x'" not in messages[0]


def test_threads_take_turns():
    count = keras.Variable(0.0)
    model = keras.Sequential([keras.Input((2,)), layers.Dense(2)])

    @uk.function
    def step(x):
        count.assign_add(1.0)
        return model(x)

    @uk.function
    def read(x):
        return model(x) * count

    def work(_):
        for _ in range(50):
            step(x)
            read(x)

    x = np.ones((1, 2), "float32")
    step(x)
    read(x)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert float(numpy(count)) == 201.0


def test_a_tensor_that_outlives_its_trace_is_named(backend):
    class Step:
        def __init__(self):
            self.last = None

        @uk.function
        def run(self, x):
            self.last = x * 2.0
            return x

    step = Step()
    step.run(ops.ones(()))
    with pytest.raises(
        LeakedTensorError, match=r"'last' \(an attribute of Step\).*test_function.py:\d+ while"
    ):
        float(step.last)
    with pytest.raises(LeakedTensorError, match="Return it from the function"):
        ops.add(step.last, 1.0)


def test_a_list_that_a_trace_changes_is_warned_of_once(backend):
    history = []

    @uk.function
    def run(x):
        history.append(x)
        return x

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            run(ops.ones(()))
    messages = [str(w.message) for w in caught if "history" in str(w.message)]
    assert len(messages) == 1
    assert "keras.Variable" in messages[0]
    with pytest.raises(LeakedTensorError, match="history"):
        float(history[0])


def test_copies_compile_for_themselves():
    counter = Counter()
    counter.add(ops.ones(()))
    again = pickle.loads(pickle.dumps(uk.function(_double)))
    assert float(numpy(again(ops.ones(())))) == 2.0


def _double(x):
    return x * 2.0


def test_a_branch_of_cond_may_write():
    small, large = keras.Variable(0.0), keras.Variable(0.0)

    @uk.function
    def count(x):
        ops.cond(x < 1.0, lambda: small.assign_add(x), lambda: large.assign_add(x))

    for value in (0.5, 2.0, 0.25):
        count(ops.convert_to_tensor(value))
    assert [float(numpy(small)), float(numpy(large))] == [0.75, 2.0]


@pytest.mark.parametrize(
    ("gradients", "message"),
    [([None, None], "all 2 gradients are None"), ([1.0], "1 gradients for 2 variables")],
)
@pytest.mark.parametrize("compiled", [True, False])
def test_gradients_must_fit(gradients, message, compiled):
    layer, optimizer = layers.Dense(1), keras.optimizers.SGD(0.1)
    layer.build((None, 1))
    step = uk.function(lambda: optimizer.apply(gradients, layer.trainable_variables))
    if not compiled:
        with uk.debug(), pytest.raises(GradientError, match=message):
            step()
    with pytest.raises(GradientError, match=message):
        step()


def test_debug_runs_python_with_values():
    weight = keras.Variable(2.0)
    seen = []

    @uk.function
    def step(x):
        seen.append(float(x) * float(numpy(weight)))
        weight.assign_add(1.0)
        return x * weight

    with uk.debug():
        for _ in range(3):
            y = step(np.float32(2.0))
    assert seen == [4.0, 6.0, 8.0]
    assert float(numpy(y)) == 10.0


class Doubling(layers.Layer):
    """A layer whose call is compiled, and counts."""

    def build(self, input_shape):
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)

    @uk.function
    def call(self, x):
        self.count.assign_add(1.0)
        return x * 2.0


def test_functions_run_inside_the_fit_of_keras():
    doubling = Doubling()
    model = keras.Sequential([keras.Input((2,)), layers.Dense(2), doubling])
    model.compile("sgd", "mse")
    x = np.ones((8, 2), "float32")
    before = numpy(model.layers[0].kernel.value).copy()
    model.fit(x, x, batch_size=2, verbose=0)
    assert float(numpy(doubling.count)) == 4.0
    assert not np.allclose(numpy(model.layers[0].kernel.value), before)
    np.testing.assert_allclose(numpy(doubling(ops.ones((1, 2)))), 2.0)


def test_state_cannot_leave_a_trace_that_does_not_carry_it(backend):
    if backend.name != "jax":
        pytest.skip("asks what becomes of state inside jax.jit, which only JAX has")
    import jax

    count = keras.Variable(0.0)
    step = uk.function(lambda x: count.assign_add(x))
    with pytest.raises(StateError, match=r"jax\.jit"):
        jax.jit(step)(1.0)
    assert float(numpy(count)) == 0.0


class _Slots:
    __slots__ = ("count",)

    def __init__(self):
        self.count = keras.Variable(0.0)

    @uk.function
    def add(self, x):
        self.count.assign_add(x)
        return self.count * 1.0


class _Twice(Counter):
    @uk.function
    def add(self, x):
        return super().add(x) * 2.0


class _OfTheClass:
    @classmethod
    @uk.function
    def named(cls, x):
        return x + 1.0

    @staticmethod
    @uk.function
    def bare(x):
        return x + 2.0


@pytest.mark.parametrize("debug", [False, True])
def test_methods_of_every_kind(debug):
    one = ops.ones(())
    with uk.debug() if debug else contextlib.nullcontext():
        slots = _Slots()
        assert [float(numpy(slots.add(one))) for _ in range(2)] == [1.0, 2.0]
        assert float(numpy(_Twice().add(one))) == 2.0
        assert float(numpy(_OfTheClass.named(one))) == float(numpy(_OfTheClass().named(one))) == 2.0
        assert float(numpy(_OfTheClass.bare(one))) == float(numpy(_OfTheClass().bare(one))) == 3.0


def test_the_method_of_a_copied_instance_is_its_own():
    counter = Counter()
    counter.add(ops.ones(()))
    other = copy.copy(counter)
    other.count = keras.Variable(10.0)
    assert float(numpy(other.add(ops.ones(())))) == 11.0
    assert float(numpy(counter.count)) == 1.0


@pytest.mark.parametrize("debug", [{}, {"nans": True}, None])
def test_callables_that_are_no_functions(debug):
    layer = layers.Dense(2)
    x = np.ones((3, 4), "float32")
    layer(x)
    compiled = uk.function(layer)
    partial = uk.function(functools.partial(_scaled, factor=3.0))
    with uk.debug(**debug) if debug is not None else contextlib.nullcontext():
        np.testing.assert_allclose(numpy(compiled(x)), numpy(layer(x)), rtol=1e-5)
        assert float(numpy(partial(np.float32(2)))) == 6.0
    assert "Dense" in repr(compiled)
    assert "partial" in repr(partial)


def _scaled(x, factor):
    return x * factor


def test_calls_that_mean_the_same_share_a_trace(backend):
    @uk.function
    def scale(x, factor=2.0, *, training=False, name=None):
        return x * factor if training else x

    x = np.ones(3, "float32")
    scale(x)
    scale(x, 2.0)
    scale(x=x, factor=2.0)
    scale(factor=2.0, training=False, x=x, name=None)
    assert scale.trace_count == 1
    assert float(numpy(scale(x, training=True))[0]) == 2.0
    with pytest.raises(TypeError, match="unknown"):
        scale(x, unknown=1)


def test_what_can_be_read_once_is_refused(backend):
    def numbers(x):
        yield x

    with pytest.raises(ArgumentError, match="numbers is a generator"):
        uk.function(numbers)
    with pytest.raises(ArgumentError, match="a generator goes into"):
        uk.function(sum)(x for x in [np.float32(1), np.float32(2)])


class _Box:
    def __init__(self, content):
        self.content = content


def test_an_object_that_takes_tensors_out_of_a_trace_is_named(backend):
    @uk.function
    def boxed(x):
        return _Box(x * 2.0)

    with pytest.raises(ArgumentError, match="boxed returns a _Box that holds tensors"):
        boxed(np.float32(2))


def test_a_layer_with_seeds_may_be_built_under_a_tape(backend):
    model = keras.Sequential([layers.Dense(4), layers.Dropout(0.5), layers.Dense(1)])

    @uk.function
    def gradients(x):
        with uk.GradientTape() as tape:
            loss = ops.mean(model(x, training=True) ** 2)
        return tape.gradient(loss, model.trainable_variables)

    assert len(gradients(np.ones((3, 2), "float32"))) == 4
    if backend.name == "torch":
        registered = {id(parameter) for parameter in model.parameters()}
        assert {id(variable.value) for variable in model.trainable_variables} <= registered


def test_a_stateful_layer_may_be_built_in_the_first_call():
    layer = layers.GRU(2, stateful=True)
    x = np.ones((2, 3, 2), "float32")
    compiled = uk.function(lambda x: layer(x))
    first, second = numpy(compiled(x)), numpy(compiled(x))
    layer.reset_state()
    np.testing.assert_allclose(first, numpy(layer(x)), rtol=1e-5)
    np.testing.assert_allclose(second, numpy(layer(x)), rtol=1e-5)


def test_a_list_of_metrics_may_be_filled_in_the_first_call():
    metrics = []

    @uk.function
    def mean(x):
        if not metrics:
            metrics.append(keras.metrics.Mean())
        metrics[0].update_state(x)
        return metrics[0].result()

    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        mean(np.float32(1))
        assert float(numpy(mean(np.float32(3)))) == 2.0


def test_functions_that_share_a_variable_take_turns():
    count = keras.Variable(0.0)

    @uk.function
    def one(x):
        count.assign_add(x)

    @uk.function
    def other(x):
        count.assign_add(x)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: (one if i % 2 else other)(np.float32(1)), range(200)))
    assert float(numpy(count)) == 200.0


def test_zeros_of_two_signs_are_two_numbers(backend):
    @uk.function
    def inverse(x, factor):
        return 1.0 / (x * factor)

    one = np.float32(1)
    assert [float(numpy(inverse(one, zero))) for zero in (0.0, -0.0)] == [float("inf"), float("-inf")]
    for _ in range(3):
        assert np.isnan(numpy(inverse(one, float("nan"))))
    assert inverse.trace_count == 3

"""Python values that a compiled function reads besides its arguments: the same results as its Python, or a warning."""

from __future__ import annotations

import types
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import keras
import numpy as np
import pytest
from keras import layers, ops

import unikeras as uk
from unikeras.functions import Function

pytestmark = pytest.mark.usefixtures("backend")

ONE = np.float32(1)
FACTOR = 1.0
THIS = types.ModuleType("a_module_of_the_user")
THIS.factor = 1.0


def number(x):
    return float(np.asarray(ops.convert_to_numpy(x)))


def assert_follows(f, change, values=(2.0, 5.0, 2.0)):
    """Check that a compiled function sees each value that `change` stores."""
    got = []
    for value in values:
        change(value)
        got.append(number(f(ONE)))
    assert got == list(values)


@pytest.mark.filterwarnings("ignore:.* was changed at:RuntimeWarning")
def test_a_list_that_grows_when_it_is_traced_is_traced_once():
    seen, total = [], keras.Variable(0.0)

    @uk.function
    def double(x):
        seen.append(len(seen))
        total.assign_add(x)
        return 2 * x

    runs = set()
    for value in (1.0, 2.0, 3.0):
        assert number(double(ops.convert_to_tensor(value))) == 2 * value
        runs.add(len(seen))
    assert double.trace_count == len(runs) == 1
    assert number(total) == 6.0


@dataclass
class Config:
    beta: float = 1.0


@dataclass(slots=True)
class Slotted:
    beta: float = 1.0


class Pair(NamedTuple):
    alpha: float
    beta: float


class Base:
    gamma = 1.0

    def weight(self):
        return self.beta


class Holder(Base):
    def __init__(self):
        self.beta = 1.0
        self.config = Config()
        self.slotted = Slotted()
        self.pair = Pair(0.0, 1.0)
        self.weights = {"a": 1.0, 3: 1.0}
        self.factors = [1.0, 1.0]
        self.scale = lambda x: x

    @property
    def doubled(self):
        return 2 * self.beta

    def weight(self):
        return super().weight()

    @uk.function
    def attribute(self, x):
        return x * self.beta

    @uk.function
    def nested(self, x):
        return x * self.config.beta

    @uk.function
    def slot(self, x):
        return x * self.slotted.beta

    @uk.function
    def field(self, x):
        pair = self.pair
        return x * pair.beta

    @uk.function
    def entry(self, x):
        return x * self.weights["a"]

    @uk.function
    def alias(self, x):
        weights = self.weights
        return x * weights[3]

    @uk.function
    def element(self, x):
        return x * self.factors[1]

    @uk.function
    def all_elements(self, x):
        return sum((x * factor for factor in self.factors), start=x * 0)

    @uk.function
    def of_the_class(self, x):
        return x * self.gamma

    @uk.function
    def by_property(self, x):
        return x * self.doubled / 2

    @uk.function
    def by_super(self, x):
        return x * self.weight()

    @uk.function
    def in_a_lambda(self, x):
        scale = lambda y: y * self.beta  # noqa: E731
        return scale(x)

    @uk.function
    def callable_attribute(self, x):
        return self.scale(x)


CHANGES = {
    "attribute": lambda holder, value: setattr(holder, "beta", value),
    "nested": lambda holder, value: setattr(holder.config, "beta", value),
    "slot": lambda holder, value: setattr(holder.slotted, "beta", value),
    "field": lambda holder, value: setattr(holder, "pair", Pair(0.0, value)),
    "entry": lambda holder, value: holder.weights.update(a=value),
    "alias": lambda holder, value: holder.weights.update({3: value}),
    "element": lambda holder, value: holder.factors.__setitem__(1, value),
    "all_elements": lambda holder, value: setattr(holder, "factors", [value - 1.0, 0.5, 0.5]),
    "of_the_class": lambda holder, value: setattr(type(holder), "gamma", value),
    "by_property": lambda holder, value: setattr(holder, "beta", value),
    "by_super": lambda holder, value: setattr(holder, "beta", value),
    "in_a_lambda": lambda holder, value: setattr(holder, "beta", value),
    "callable_attribute": lambda holder, value: setattr(holder, "scale", lambda x: x * value),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_attribute_is_seen(name):
    holder = type("Holder", (Holder,), {})()
    assert_follows(getattr(holder, name), lambda value: CHANGES[name](holder, value))


def test_a_changed_object_of_the_instance_is_seen():
    holder = Holder()
    assert_follows(holder.nested, lambda value: setattr(holder, "config", Config(value)))


def test_closures_globals_and_helpers_are_seen():
    factor = 1.0

    def helper(x):
        return x * factor * FACTOR

    f = uk.function(lambda x: helper(x) * THIS.factor)

    def close(value):
        nonlocal factor
        factor = value

    assert_follows(f, close)
    close(1.0)
    assert_follows(f, lambda value: globals().__setitem__("FACTOR", value))
    globals()["FACTOR"] = 1.0
    assert_follows(f, lambda value: setattr(THIS, "factor", value))
    THIS.factor = 1.0


def test_what_transforms_and_functions_are_made_of_is_seen():
    config = Config()
    inner = uk.function(lambda x: x * config.beta)
    assert_follows(
        uk.function(uk.grad(lambda x: x * config.beta)), lambda value: setattr(config, "beta", value)
    )
    assert_follows(uk.function(lambda x: inner(x)), lambda value: setattr(config, "beta", value))


def test_attributes_of_arguments_are_seen():
    one, other = Config(), Config()
    vars(one)["beta"], other.beta = 1.0, 3.0
    weighed = Weighed()
    Config.__hash__ = object.__hash__
    f = uk.function(
        lambda x, config, layer=None: x * config.beta if layer is None else layer(x) * config.beta
    )
    assert_follows(lambda x: f(x, one), lambda value: setattr(one, "beta", value))
    assert number(f(ONE, other)) == 3.0
    assert number(f(ONE, one)) == 2.0
    other.beta = 1.0
    assert_follows(lambda x: f(x, other, weighed), lambda value: setattr(weighed, "beta", value))


def test_a_trace_that_fails_leaves_what_was_traced(backend):
    config, other = Holder(), Holder()
    other.beta = "no number"
    f = uk.function(lambda x, holder: x * holder.beta)
    assert number(f(ONE, config)) == 1.0
    for _ in range(2):
        with pytest.raises(Exception, match=r"."):
            f(ONE, other)
        assert number(f(ONE, config)) == 1.0
    other.beta = 4.0
    assert number(f(ONE, other)) == 4.0
    assert f.trace_count == 2


def test_values_come_and_go():
    class Box:
        a = 1.0

        def __init__(self):
            self.b = 1.0

        @uk.function
        def run(self, x):
            return x * self.a * self.b

    box = Box()
    got = [number(box.run(ONE))]
    box.a, box.b = 2.0, 3.0
    got.append(number(box.run(ONE)))
    del box.a
    for box.b in (5.0, 7.0):
        got.append(number(box.run(ONE)))
    Box.a = 10.0
    got.append(number(box.run(ONE)))
    assert got == [1.0, 6.0, 5.0, 7.0, 70.0]


def test_arrays_and_objects_count_as_themselves():
    box = types.SimpleNamespace(array=np.float32(1), layer=layers.Rescaling(1.0))
    assert_follows(
        uk.function(lambda x: ops.multiply(x, box.array)),
        lambda value: setattr(box, "array", np.full((), value, "f")),
    )
    assert_follows(
        uk.function(lambda x: ops.multiply(x, box.array)),
        lambda value: setattr(box, "array", np.float32(value)),
    )
    assert_follows(
        uk.function(lambda x: box.layer(x)), lambda value: setattr(box, "layer", layers.Rescaling(value))
    )


@pytest.mark.parametrize(
    "values", [(1, True, 1.0), (0.0, -0.0), ("a", b"a", None), (float("nan"), 1.0, float("nan"))]
)
def test_values_of_other_types_are_other_values(backend, values):
    box = types.SimpleNamespace(value=None)
    kinds = []

    @uk.function
    def f(x):
        kinds.append(repr(box.value))
        return x

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the list grows
        for _ in range(2):
            for value in values:
                box.value = value
                f(ONE)
    assert set(kinds) == set(map(repr, values))
    assert f.trace_count == len(set(kinds))


def test_an_unchanged_value_is_no_new_trace(backend):
    holder = Holder()
    for value in (1.0, 2.0, 1.0, 2.0):
        holder.beta = value + 0.0
        holder.attribute(ONE)
        holder.attribute(np.ones(3, "float32"))
    assert holder.attribute.trace_count == 4


class Weighed(layers.Layer):
    """A layer whose call reads an attribute."""

    def __init__(self):
        super().__init__()
        self.beta = 1.0

    def call(self, x):
        return x * self.beta


def test_layers_losses_and_lambdas_deep_in_a_model_are_seen():
    weighed, box = Weighed(), types.SimpleNamespace(beta=1.0)
    x = keras.Input((1,))
    model = keras.Sequential([x, keras.Sequential([weighed]), layers.Lambda(lambda y: y * box.beta)])
    f = uk.function(lambda x: model(ops.reshape(x, (1, 1)))[0, 0])
    assert_follows(f, lambda value: setattr(weighed, "beta", value))
    weighed.beta = 1.0
    assert_follows(f, lambda value: setattr(box, "beta", value))


class Annealed(uk.Model):
    """A model whose loss has a weight that callbacks change."""

    beta = 1.0

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return ops.mean(y_pred) * self.beta


class SetBeta(keras.callbacks.Callback):
    """Sets the weight before each epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.model.beta = 10.0**epoch


def test_a_callback_changes_the_weight_of_a_loss():
    x = keras.Input((1,))
    model = Annealed(x, layers.Dense(1, use_bias=False, kernel_initializer="ones")(x))
    model.compile(keras.optimizers.SGD(0.0))
    ones = np.ones((4, 1), "float32")
    history = model.fit(ones, ones, batch_size=2, epochs=3, verbose=0, callbacks=[SetBeta()])
    np.testing.assert_allclose(history.history["loss"], [1.0, 10.0, 100.0], rtol=1e-6)
    assert model.evaluate(ones, ones, verbose=0) == pytest.approx(100.0)
    model.beta = 3.0
    assert model.evaluate(ones, ones, verbose=0) == pytest.approx(3.0)


def test_a_loss_of_the_users_is_seen():
    box = types.SimpleNamespace(beta=1.0)
    x = keras.Input((1,))
    model = uk.Model(x, layers.Dense(1, use_bias=False, kernel_initializer="ones")(x))
    model.compile("sgd", loss=lambda y, prediction: ops.mean(prediction) * box.beta)
    ones = np.ones((4, 1), "float32")
    for box.beta in (1.0, 7.0):
        assert model.evaluate(ones, ones, verbose=0) == pytest.approx(box.beta)


def test_many_values_are_warned_of_by_name(backend):
    holder = Holder()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for i in range(12):
            holder.beta = i / 8
            holder.attribute(ONE)
    messages = [str(w.message) for w in caught]
    assert len(messages) == 1
    assert "9 times" in messages[0]
    assert "'beta' (an attribute of Holder) was 0.0, 0.125" in messages[0]
    assert "'x'" not in messages[0]


# What a function changes itself


class Counting:
    def __init__(self):
        self.count = 0
        self.stats = {"n": 0}
        self.counts = [0, 0]

    @uk.function
    def attribute(self, x):
        self.count += 1
        return x * (self.count > 0)

    @uk.function
    def entry(self, x):
        self.stats["n"] += 1
        return x

    @uk.function
    def element(self, x, i=1):
        self.counts[i] += 1
        return x

    @uk.function
    def by_helper(self, x):
        self.increase()
        return x * self.count

    def increase(self):
        self.count = self.count + 1


TOTAL = 0


def counts_in_an_argument():
    @uk.function
    def f(x, counting):
        counting.count += 1
        return x

    counting = Counting()
    return lambda x: f(x, counting)


@uk.function
def counts_a_global(x):
    global TOTAL
    TOTAL += 1
    return x


def counts_a_closure():
    total = 0

    @uk.function
    def f(x):
        nonlocal total
        total += 1
        return x

    return f


def counts_in_a_model():
    class Turns(uk.Model):
        turn = 0

        def train_step(self, data):
            self.turn += 1
            return {"turn": ops.mean(data) * self.turn}

    x = keras.Input((1,))
    model = Turns(x, layers.Dense(1)(x))
    model.compile("sgd")
    return lambda x: model.fit(np.ones((4, 1), "float32"), batch_size=1, verbose=0)


CHANGING = {
    "attribute": (lambda: Counting().attribute, "'count' (an attribute of Counting)"),
    "entry": (lambda: Counting().entry, "\"stats['n']\" (an attribute of Counting)"),
    "element": (lambda: Counting().element, "'counts' (an attribute of Counting)"),
    "helper": (lambda: Counting().by_helper, "'count' (an attribute of Counting)"),
    "argument": (counts_in_an_argument, "'count' (an attribute of Counting)"),
    "global": (lambda: counts_a_global, "'TOTAL' (a global of"),
    "closure": (counts_a_closure, "'total' (a variable around"),
    "model": (counts_in_a_model, "'turn' (an attribute of Turns)"),
}


@pytest.mark.parametrize("name", CHANGING)
def test_a_value_that_the_function_changes_is_warned_of_once(backend, name):
    make, named = CHANGING[name]
    f = make()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(4):
            f(ONE)
    messages = [str(w.message) for w in caught if w.category is UserWarning]
    assert len(messages) == 1
    assert f"changes {named}" in messages[0]
    assert "test_captured_values.py:" in messages[0]
    assert "keras.Variable" in messages[0]
    if isinstance(f, Function):
        assert f.trace_count == 1


def test_each_trace_sees_a_count_that_one_run_has_changed(backend):
    class Step:
        count = 0

        @uk.function
        def run(self, x):
            self.count += 1
            return ops.sum(x) * self.count

    step = Step()
    with pytest.warns(UserWarning, match="'count'"):
        first = step.run(np.ones(1, "float32"))
    assert number(first) == 1.0
    again = number(step.run(np.ones((1, 1), "float32")))
    assert (again, step.count) == (2.0, 2)


def test_threads_share_the_trace_of_a_function_that_counts(backend):
    counting = Counting()
    with warnings.catch_warnings(), ThreadPoolExecutor(4) as pool:
        warnings.simplefilter("ignore")
        list(pool.map(lambda _: counting.attribute(ONE), range(40)))
    assert counting.attribute.trace_count == 1


def test_the_line_is_the_one_that_stores():
    counting = Counting()
    with pytest.warns(UserWarning, match="keras.Variable") as caught:
        counting.by_helper(ONE)
    line = Counting.increase.__code__.co_firstlineno + 1
    assert f"test_captured_values.py:{line}." in str(caught[0].message)


def test_every_second_call_updates_or_a_warning_says_why(backend):
    class Step:
        turn = 0

        @uk.function
        def run(self, x):
            self.turn += 1
            if self.turn % 2 == 0:
                total.assign_add(x)
            return x

    total, step = keras.Variable(0.0), Step()
    with pytest.warns(UserWarning, match="'turn' .*keras.Variable"):
        step.run(ONE)
    for _ in range(3):
        step.run(ONE)
    assert number(total) == 0.0


def test_a_step_that_builds_itself_once_is_not_warned_of():
    class Lazy:
        ready = False

        @uk.function
        def run(self, x):
            if not self.ready:
                self.total = keras.Variable(0.0)
                self.ready = True
            self.total.assign_add(x)
            return self.total * 1.0

    lazy = Lazy()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert [number(lazy.run(ONE)) for _ in range(3)] == [1.0, 2.0, 3.0]


def test_properties_are_not_asked():
    class Careful:
        beta = 2.0

        @property
        def costly(self):
            raise RuntimeError("asked")

        @uk.function
        def run(self, x, ask=False):
            return x * (self.costly if ask else self.beta)

    assert number(Careful().run(ONE)) == 2.0

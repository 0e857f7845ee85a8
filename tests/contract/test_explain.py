"""`f.explain` and `f.programs`: what they say is what a call does, and saying it changes nothing."""

from __future__ import annotations

import gc
import json
import random
import threading
from collections import OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from helpers.arrays import numpy
from keras import layers, ops

import unikeras as uk
from unikeras.errors import ArgumentError, StateError

pytestmark = pytest.mark.usefixtures("backend")

X, Y = np.ones((4, 3), "float32"), np.zeros((4, 1), "float32")
COUNT = 0
SINE = {"tensorflow": "Sin", "torch": "aten.sin.default", "jax": "sin"}


class Trainer:
    """A step that builds its model and its optimizer, and leaves marks of every kind in Python."""

    runs = 0

    def __init__(self):
        # An initializer may draw from a variable when another one is created; on TensorFlow not inside a function.
        self.start = keras.random.SeedGenerator(3)
        start = keras.initializers.RandomNormal(seed=3 if uk.backend() == "tensorflow" else self.start)
        self.model = keras.Sequential(
            [layers.BatchNormalization(), layers.Dense(1, kernel_initializer=start)]
        )
        self.dropout = layers.Dropout(0.5, seed=1)
        self.optimizer = keras.optimizers.SGD(momentum=0.9)
        self.metric = keras.metrics.MeanSquaredError()
        self.log, self.named, self.last, self.kinds = [], OrderedDict(a=1), deque([0], 3), {1}
        self.generator, self.own_random = np.random.default_rng(0), random.Random(0)

    def mark(self):
        global COUNT
        COUNT += 1
        type(self).runs += 1
        self.log.append("run")
        self.named["b"], self.named["a"] = 2, 3
        self.last.append(4)
        self.kinds.add(5)
        self.new = self.generator.normal() + self.own_random.random() + random.random() + np.random.rand()

    @uk.function
    def step(self, x, y, training=True):
        self.mark()
        with uk.GradientTape() as tape:
            y_pred = self.model(self.dropout(x, training=training), training=training)
            loss = ops.mean((y_pred - y) ** 2)
        variables = self.model.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        self.metric.update_state(y, y_pred)
        return loss


def variables_of(trainer):
    seeds = [trainer.dropout.seed_generator.state, trainer.start.state]
    return [*trainer.model.variables, *trainer.optimizer.variables, *trainer.metric.variables, *seeds]


def state_of(trainer):
    """Return all that a trace could change, as values that compare."""
    gc.collect()
    variables = variables_of(trainer)
    return {
        "variables": [(id(v), v.path, numpy(v).tolist()) for v in variables],
        "built": [trainer.model.built, trainer.optimizer.built, *(x.built for x in trainer.model.layers)],
        "attributes": {name: repr(value) for name, value in vars(trainer).items() if "compiled" not in name},
        "bits": [trainer.generator.bit_generator.state, trainer.own_random.getstate(), random.getstate()],
        "numpy": np.random.get_state()[1].tolist(),
        "counts": (COUNT, Trainer.runs, trainer.step.trace_count, trainer.step.programs),
        "losses": [len(trainer.model.losses), len(vars(trainer.model)), len(vars(trainer.optimizer))],
        "native": _native_random_state(),
        "kept": sum(issubclass(type(o), keras.Variable) for o in gc.get_objects()),
    }


def _native_random_state():
    if uk.backend() != "torch":
        return None
    import torch

    return torch.get_rng_state().tolist()


@pytest.fixture
def trainer():
    return Trainer()


@pytest.fixture
def quiet():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the marks that a call, and not an explanation, is warned of
        yield


def test_nothing_changes_before_the_first_call(trainer):
    trainer.step.explain(X, Y)  # what is imported, and Keras' own seed, are there from now on
    name, number = layers.Dense(1).name.rpartition("_")[::2]
    before = state_of(trainer)
    explanation = trainer.step.explain(X, Y)
    assert state_of(trainer) == before
    assert layers.Dense(1).name == f"{name}_{int(number) + 1}"
    assert explanation.traced
    assert not explanation.exists
    assert not trainer.model.built
    assert {path.rpartition("/")[2] for path in explanation.created} >= {"kernel", "gamma", "moving_mean"}
    assert len(explanation.created) == len(set(explanation.created)) == 10


def test_the_call_does_what_was_explained(trainer, quiet):
    explanation = trainer.step.explain(X, Y)
    trainer.step(X, Y)
    (program,) = trainer.step.programs
    assert program.plain() == explanation.program
    again = trainer.step.explain(X, Y)
    assert again.exists
    assert again.program == explanation.program
    assert again.programs == (explanation.program,)
    assert again.created == ()
    every = {v.path for v in variables_of(trainer)}
    assert set(program.reads) | set(program.writes) <= every
    assert set(explanation.created) <= every
    slots = {v.path for v in trainer.optimizer.variables if "momentum" in v.path}
    statistics = {v.path for v in trainer.model.non_trainable_variables}
    metrics = {v.path for v in trainer.metric.variables}
    seed = {trainer.dropout.seed_generator.state.path}
    assert slots
    assert slots | statistics | metrics | seed <= set(program.writes)
    assert trainer.optimizer.learning_rate.path in program.reads
    assert trainer.optimizer.learning_rate.path not in program.writes
    check_another_size(trainer)


def check_another_size(trainer):
    """Explain a call that would make a second program: nothing changes, and it can be read."""
    before = state_of(trainer)
    explanation = trainer.step.explain(X[:2], Y[:2])
    assert state_of(trainer) == before
    assert not explanation.exists
    lines = str(explanation).splitlines()
    assert max(map(len, lines)) <= 110
    assert trainer.optimizer.variables[0].path in str(explanation)
    assert f"on {uk.backend()}: traced" in lines[0]
    data = json.loads(explanation.to_json())
    assert data == explanation.to_dict()
    assert data["program"]["writes"] == list(explanation.program.writes)
    assert data["programs"][0]["cause"] == "the first call"
    assert max(map(len, str(trainer.step.programs[0]).splitlines())) <= 110


def test_a_call_after_an_explanation_is_as_if_there_was_none(quiet):
    def losses(explains):
        keras.utils.set_random_seed(7)
        trainer = Trainer()
        if explains:
            trainer.step.explain(X, Y)
        return [float(numpy(trainer.step(X, Y))) for _ in range(3)]

    assert losses(True) == losses(False)


def test_each_program_says_what_made_it(backend):
    class Settings:
        scale = 1.0

    settings = Settings()

    @uk.function
    def f(x, factor=2.0):
        return ops.multiply(ops.multiply(x, factor), settings.scale)

    x = np.ones((2, 3), "float32")
    f(x)
    f(x, 3.0)
    f(x.astype("int32"), 3.0)
    f(np.ones((5, 3), "int32"), 3.0)
    settings.scale = 4.0
    explanation = f.explain(x.astype("int32"), 3.0)
    f(x.astype("int32"), 3.0)
    causes = [program.cause for program in f.programs]
    assert causes[0] == "the first call"
    assert causes[1] == "argument 'factor' was 2.0, 3.0"
    assert causes[2].startswith("argument 'x' had the dtypes")
    assert causes[3].startswith("argument 'x' had the shapes (2, 3), ")
    assert "'scale' (an attribute of Settings) was not set, 4.0" in causes[4]
    assert explanation.program.cause == causes[4]
    assert [program.signature for program in f.programs][:2] == [
        "x: float32 (2, 3), factor=2.0",
        "x: float32 (2, 3), factor=3.0",
    ]
    size = "None" if backend.dynamic_axes else "5"
    assert f.programs[3].signature == f"x: int32 ({size}, 3), factor=3.0"
    assert f.trace_count == 5


def test_reads_and_writes_are_told_apart():
    read, written, updated = (keras.Variable(1.0, name=n) for n in ("read", "written", "updated"))

    @uk.function
    def f(x):
        written.assign(x)
        updated.assign_add(read * x)
        return x

    program = f.explain(np.float32(2)).program
    assert program.reads == ("read", "updated") or program.reads == ("updated", "read")
    assert sorted(program.writes) == ["updated", "written"]
    f(np.float32(2))
    assert f.programs[0].plain() == program


def test_operators_are_counted_in_branches_too():
    @uk.function
    def f(x):
        return ops.cond(ops.sum(x) > 0, lambda: ops.sin(ops.sin(x)), lambda: ops.cos(x)) + ops.sin(x)

    assert f.explain(X).program.operators[SINE[uk.backend()]] == 3
    f(X)
    (program,) = f.programs
    assert program.operators[SINE[uk.backend()]] == 3
    assert program.text().lower().count("sin") >= 1


def test_what_the_passes_removed():
    kernel = keras.Variable(np.ones((3, 2), "float32"))

    @uk.function
    def f(x):
        return ops.transpose(ops.transpose(ops.matmul(x, kernel)))

    removed = f.explain(X).program.removed
    assert bool(removed) == (uk.backend() == "torch")
    assert all(count > 0 for count in removed.values())


def test_what_cannot_be_traced_names_the_line_and_the_call():
    total = keras.Variable(1.0, name="total")

    @uk.function
    def f(x):
        total.assign_add(1.0)
        return x if float(ops.sum(x)) > 1 else -x

    explanation = f.explain(X)
    assert not explanation.traced
    assert explanation.program is None
    line = f.__wrapped__.__code__.co_firstlineno + 3
    assert f"{__file__}:{line}" in explanation.reason
    assert "float" in explanation.reason
    assert "uk.debug()" in explanation.advice
    assert float(numpy(total)) == 1.0
    if uk.backend() == "torch":
        assert "It runs as Python" in explanation.reason
        with pytest.warns(UserWarning, match="runs as Python"):
            f(X)
        assert f.explain(X) == explanation
    else:
        assert "The call is an error" in explanation.reason


def test_under_debug_it_runs_as_python():
    @uk.function
    def f(x):
        return x

    with uk.debug():
        explanation = f.explain(X)
        assert "uk.debug()" in explanation.reason
        with pytest.raises(TypeError):
            f.explain(X, X)
    assert not explanation.traced
    assert f.explain(X).traced


def test_the_errors_are_the_functions_own():
    counter = keras.Variable(0.0)
    marks = []

    @uk.function
    def f(x):
        counter.assign_add(1.0)
        marks.append(1)
        raise KeyError("of the function")

    with pytest.raises(KeyError, match="of the function"):
        f.explain(X)
    with pytest.raises(TypeError, match="f\\(\\)"):
        f.explain()
    with pytest.raises(ArgumentError, match="neither a tensor nor hashable"):
        f.explain({1, 2})
    assert float(numpy(counter)) == 0.0
    assert marks == []

    @uk.function
    def creates(x):
        return keras.Variable(1.0) + x

    with pytest.raises(StateError):
        creates.explain(X)


def test_inside_of_a_trace_it_is_refused():
    @uk.function
    def inner(x):
        return x

    @uk.function
    def outer(x):
        inner.explain(x)
        return x

    with pytest.raises(StateError, match=r"inner\.explain"):
        outer(X)


def test_a_static_argument_and_nested_arguments():
    @uk.function(static_argnames="sizes")
    def f(x, sizes):
        return ops.reshape(x["a"][0], sizes)

    assert f.explain({"a": [X]}, sizes=(3, 4)).call == "x['a'][0]: float32 (4, 3), sizes=(3, 4)"


def test_the_step_of_a_model_explains_itself():
    inputs = keras.Input((3,))
    model = uk.Model(inputs, layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    explanation = model.make_train_function().step.explain((X, Y))
    assert explanation.traced
    assert set(explanation.program.writes) > {v.path for v in model.trainable_variables}
    assert not model.optimizer.built


def test_threads_call_and_explain_one_function():
    total = keras.Variable(0.0)

    @uk.function
    def add(x):
        total.assign_add(ops.sum(x))
        return total * 1.0

    barrier = threading.Barrier(4)

    def work(index):
        barrier.wait()
        for n in range(1, 4):
            x = np.ones((n, index + 1), "float32")
            if index % 2:
                assert add.explain(x).traced
            else:
                add(x)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert float(numpy(total)) == 6.0 + 18.0
    assert len(add.programs) == add.trace_count

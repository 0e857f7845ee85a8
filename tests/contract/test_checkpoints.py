"""A checkpoint holds all that training carries, and fits another model of the same code."""

from __future__ import annotations

import random

import keras
import numpy as np
import pytest

import unikeras as uk
from unikeras.errors import CheckpointMismatch, StateError
from unikeras.training import Checkpointer
from unikeras.training.checkpoints import _checkpoint_file

pytestmark = pytest.mark.usefixtures("backend")

X = np.random.default_rng(0).normal(size=(48, 6)).astype("float32")
Y = np.arange(48) % 3


def make_model(units=8, **adam):
    """Layers without names, so that each model has others, and everything that has state."""
    inputs = keras.Input((6,))
    h = keras.layers.BatchNormalization()(keras.layers.Dense(units, "relu")(inputs))
    h = keras.layers.Dropout(0.3)(keras.layers.Dense(units, "relu")(h))
    model = uk.Model(inputs, keras.layers.Dense(3)(h))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01, **adam), loss, metrics=["accuracy"])
    return model


def fill(variables, seed=1):
    """Give variables values that no initializer gives."""
    rng = np.random.default_rng(seed)
    for variable in variables:
        variable.assign(rng.integers(0, 100, tuple(variable.shape)))


def numpy_of(variables):
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def all_of(model):
    return [*model.variables, *model.optimizer.variables, *model.metrics_variables]


def assert_equal(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def draws():
    return [
        random.random(),
        np.random.rand(),
        *keras.ops.convert_to_numpy(keras.random.uniform((2,))).tolist(),
    ]


class Part:
    """An object with a state, which may refuse one."""

    def __init__(self, state, refuses=None):
        self.now, self.refuses = state, refuses

    @property
    def state(self):
        return self.now

    def restore(self, state):
        self.now = state
        if state == self.refuses:
            raise ValueError("another batch size")


def test_a_second_model_goes_on_where_the_first_was(tmp_path):
    first = make_model()
    first.fit(X, Y, batch_size=8, verbose=0)
    path = Checkpointer(tmp_path, model=first).save()
    saved, expected = numpy_of(all_of(first)), draws()

    second = make_model()
    second.fit(X, Y, batch_size=8, epochs=2, verbose=0)
    assert Checkpointer(tmp_path, model=second).restore() == path
    assert draws() == expected
    assert_equal(numpy_of(all_of(second)), saved)
    assert_equal(numpy_of(all_of(first)), saved)

    # A model that was not trained yet has no metrics that are built, and gets the rest.
    third = make_model()
    Checkpointer(tmp_path, model=third).restore()
    assert_equal(
        numpy_of([*third.variables, *third.optimizer.variables]), saved[: -len(first.metrics_variables)]
    )


@pytest.mark.parametrize(
    "adam",
    [{"use_ema": True, "gradient_accumulation_steps": 3}, {"loss_scale_factor": 8.0}],
    ids=["averages and accumulation", "loss scale"],
)
def test_all_of_an_optimizer_comes_back(tmp_path, adam):
    first, second = make_model(**adam), make_model(**adam)
    path = Checkpointer(tmp_path, model=first).save()  # makes the slots
    fill(first.optimizer.variables)
    path = Checkpointer(tmp_path, model=first).save()
    assert len(first.optimizer.variables) > 2 * len(first.trainable_variables)
    assert not second.optimizer.built
    Checkpointer(tmp_path, model=second).restore(path)
    assert_equal(numpy_of(second.optimizer.variables), numpy_of(first.optimizer.variables))


def test_a_dynamic_loss_scale_comes_back(tmp_path):
    def make():
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        return model, keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1, momentum=0.9))

    model, optimizer = make()
    checkpointer = Checkpointer(tmp_path, model=model, optimizer=optimizer)
    checkpointer.save()
    fill(optimizer.variables)
    checkpointer.save()
    again = make()
    Checkpointer(tmp_path, model=again[0], optimizer=again[1]).restore()
    assert_equal(numpy_of(again[1].variables), numpy_of(optimizer.variables))


def test_a_loop_of_ones_own(tmp_path):
    """Model, optimizer, metrics, a seed generator, a variable and an object of the user's."""

    def make():
        model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
        parts = {
            "model": model,
            "optimizer": keras.optimizers.SGD(0.1, momentum=0.9),
            "metrics": {
                "loss": keras.metrics.Mean(),
                "accuracy": [keras.metrics.SparseCategoricalAccuracy()],
            },
            "seeds": keras.random.SeedGenerator(random.randrange(1000)),
            "mean": keras.Variable(np.zeros(3, "float32")),
            "data": Part({"epoch": 0, "batch": 0}),
            "stopping": Part({"wait": 0, "weights": [np.zeros(2)]}),
        }
        return parts, Checkpointer(tmp_path, **parts)

    first, checkpointer = make()
    checkpointer.save()
    accuracy = first["metrics"]["accuracy"][0]
    variables = [
        *first["model"].variables,
        *first["optimizer"].variables,
        *first["metrics"]["loss"].variables,
        *accuracy.variables,
        first["seeds"].state,
        first["mean"],
    ]
    fill(variables)
    first["data"].now = {"epoch": 3, "batch": 5}
    first["stopping"].now = {"wait": 2, "weights": [np.ones(2)]}
    checkpointer.save()

    second, checkpointer = make()
    checkpointer.restore()
    found = [
        *second["model"].variables,
        *second["optimizer"].variables,
        *second["metrics"]["loss"].variables,
        *second["metrics"]["accuracy"][0].variables,
        second["seeds"].state,
        second["mean"],
    ]
    assert_equal(numpy_of(found), numpy_of(variables))
    assert second["data"].now == {"epoch": 3, "batch": 5}
    assert second["stopping"].now["wait"] == 2
    np.testing.assert_array_equal(second["stopping"].now["weights"], [np.ones(2)])


def test_the_memory_of_stateful_layers_comes_back(tmp_path):
    def make():
        rnn = keras.layers.GRU(4, stateful=True)
        return keras.Sequential([keras.Input(batch_shape=(2, 3, 6)), rnn, keras.layers.Dense(1)])

    first, second = make(), make()
    first(X[:6].reshape(2, 3, 6))
    Checkpointer(tmp_path, model=first).save()
    Checkpointer(tmp_path, model=second).restore()
    assert any(np.any(value) for value in numpy_of(first.layers[0].states))
    assert_equal(numpy_of(second.layers[0].states), numpy_of(first.layers[0].states))
    assert_equal(numpy_of(second.variables), numpy_of(first.variables))


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int32", "float16", "bfloat16", "float32"])
def test_variables_of_every_dtype_come_back_bit_by_bit(tmp_path, dtype):
    def make(value):
        shapes = [(), (3,), (2, 0)]
        return [keras.Variable(np.full(shape, value), dtype=dtype, trainable=False) for shape in shapes]

    first, second = make(1), make(0)
    Checkpointer(tmp_path, own=first).save()
    Checkpointer(tmp_path, own=second).restore()
    assert_equal(numpy_of(second), numpy_of(first))


def test_layers_of_one_name_are_told_apart_by_their_order(tmp_path):
    def make(prefix):
        return keras.Sequential(
            [keras.Input((4,)), *(keras.layers.Dense(4, name=f"{prefix}_{i}") for i in range(3))]
        )

    first, second = make("block"), make("block")
    fill(first.variables)
    Checkpointer(tmp_path, model=first).save()
    Checkpointer(tmp_path, model=second).restore()
    assert_equal(numpy_of(second.variables), numpy_of(first.variables))


# What does not fit


def test_every_difference_is_named_and_nothing_changes(tmp_path):
    first, second = make_model(8), make_model(5)
    part = Part({"batch": 3})
    Checkpointer(tmp_path, model=first, data=part).save()
    Checkpointer(tmp_path / "other", model=second).save()  # makes the slots
    fill(all_of(second))
    before, part.now, generators = numpy_of(all_of(second)), {"batch": 7}, random.getstate()
    with pytest.raises(CheckpointMismatch) as caught:
        Checkpointer(tmp_path, model=second, data=part, missing=Part({})).restore()
    differences = caught.value.differences
    assert len(differences) == len(str(caught.value).splitlines()) - 1
    assert "missing is not in the checkpoint" in differences
    kernel = second.trainable_variables[0].path
    assert f"model: {kernel} is float32[6, 5] here and float32[6, 8] in the checkpoint" in differences
    assert (
        sum(line.startswith("optimizer: ") for line in differences) == 2 * 7
    )  # all but the biases of the last layer
    assert_equal(numpy_of(all_of(second)), before)
    assert part.now == {"batch": 7}
    assert random.getstate() == generators


def test_other_layers_and_dtypes_are_named(tmp_path):
    dense, flat = keras.layers.Dense(2, name="a"), keras.layers.Dense(2, name="b", use_bias=False)
    Checkpointer(tmp_path, model=keras.Sequential([keras.Input((2,)), dense], name="model")).save()
    with pytest.raises(CheckpointMismatch) as caught:
        Checkpointer(tmp_path, model=keras.Sequential([keras.Input((2,)), flat], name="model")).restore()
    assert sorted(caught.value.differences) == [
        "model: model/a/bias is in the checkpoint, and not here",
        "model: model/a/kernel is in the checkpoint, and not here",
        "model: model/b/kernel is here, and not in the checkpoint",
    ]
    Checkpointer(tmp_path / "2", own=keras.Variable([1.0], name="v")).save()
    with pytest.raises(
        CheckpointMismatch, match=r"own: v is int32\[1\] here and float32\[1\] in the checkpoint"
    ):
        Checkpointer(
            tmp_path / "2", own=keras.Variable([1], dtype="int32", trainable=False, name="v")
        ).restore()


def test_another_optimizer_is_named(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    Checkpointer(tmp_path, model=model, optimizer=keras.optimizers.Adam()).save()
    with pytest.raises(
        CheckpointMismatch, match=r"optimizer: adam.*/iteration is in the checkpoint, and not here"
    ):
        Checkpointer(tmp_path, model=model, optimizer=keras.optimizers.SGD(momentum=0.9)).restore()


def test_a_part_that_refuses_its_state_leaves_everything_as_it_was(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    first, second = Part(1), Part({"batch": 4})
    checkpointer = Checkpointer(tmp_path, model=model, first=first, second=second)
    checkpointer.save()
    fill(model.variables)
    first.now, second.now, second.refuses = 2, {"batch": 9}, {"batch": 4}
    before, generators = numpy_of(model.variables), random.getstate()
    with pytest.raises(ValueError, match="another batch size"):
        checkpointer.restore()
    assert_equal(numpy_of(model.variables), before)
    assert (first.now, second.now) == (2, {"batch": 9})
    assert random.getstate() == generators


def test_what_nobody_asked_for_is_named_once(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    Checkpointer(tmp_path, model=model, optimizer=keras.optimizers.SGD(), data=Part(1)).save()
    with pytest.warns(UserWarning, match="also holds optimizer, data, which this checkpointer was not given"):
        Checkpointer(tmp_path, model=model).restore()


def test_a_model_without_weights_is_named(tmp_path):
    model = keras.Sequential([keras.layers.Dense(1)])
    checkpointer = Checkpointer(tmp_path / "run", model=model)
    with pytest.raises(StateError, match="has no weights yet"):
        checkpointer.save()
    assert not checkpointer.folder.exists()


def test_a_draw_that_was_never_made_is_none_afterwards(tmp_path):
    """The generator of draws without a seed does not exist before the first one."""
    keras.utils.clear_session()
    random.seed(3)
    Checkpointer(tmp_path).save()
    expected = draws()
    draws()
    Checkpointer(tmp_path).restore()
    assert draws() == expected


def test_the_configuration_has_a_digest_that_names_do_not_change(tmp_path):
    def digest(model):
        path = Checkpointer(tmp_path / model.name, model=model).save()
        return _checkpoint_file.read_state(path)["config"]

    first, second, wider = make_model(), make_model(), make_model(9)
    assert digest(first) == digest(second) != digest(wider)
    assert len(digest(first)) == 64


def test_portable_draws_go_on(tmp_path):
    with uk.random.portable(3):
        saver = Checkpointer(tmp_path)
        keras.random.uniform((2,))
        saver.save()
        expected = [draws() for _ in range(2)]
    with uk.random.portable(9):
        assert draws() not in expected
        saver.restore()
        assert [draws() for _ in range(2)] == expected
    with pytest.warns(UserWarning, match="saved inside of uk.random.portable"):
        saver.restore()


def test_the_frameworks_own_generators_go_on(tmp_path):
    backend = uk.backends.current()
    backend.seed_generators(5)
    saver = Checkpointer(tmp_path)
    saver.save()
    before = backend.generator_state()
    assert bool(before) == (uk.backend() != "jax")  # which has none
    backend.seed_generators(6)
    saver.restore()
    after = backend.generator_state()
    assert before.keys() == after.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)

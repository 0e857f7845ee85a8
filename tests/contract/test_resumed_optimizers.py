"""A run with several optimizers goes on exactly, also where its first step builds them."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from helpers.resumed_runs import Kill
from keras import layers, ops

import unikeras as uk
from unikeras.errors import ArgumentValueError, CheckpointMismatch
from unikeras.training import Checkpointer

X = np.random.RandomState(0).randn(24, 3).astype("float32")


class Pair(uk.Model):
    """Two networks that compete; each optimizer gets its slots in the first step, for its own network."""

    def __init__(self, rate=0.01):
        super().__init__()
        self.maker = keras.Sequential([keras.Input((2,)), layers.Dense(4, "tanh"), layers.Dense(3)])
        self.critic = keras.Sequential([keras.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(1)])
        self.rules = {"critic": keras.optimizers.Adam(0.01, beta_1=0.5), "unused": keras.optimizers.SGD(rate)}

    def call(self, x, training=None):
        return self.maker(x, training=training)

    def train_step(self, data):
        (x,) = data
        with uk.GradientTape(persistent=True) as tape:
            made = self.maker(x[:, :2])
            critic_loss = ops.mean(self.critic(ops.stop_gradient(made))) - ops.mean(self.critic(x))
            maker_loss = -ops.mean(self.critic(made))
        for loss, part, optimizer in (
            (critic_loss, self.critic, self.rules["critic"]),
            (maker_loss, self.maker, self.optimizer),
        ):
            optimizer.apply(tape.gradient(loss, part.trainable_variables), part.trainable_variables)
        return {"critic_loss": critic_loss, "maker_loss": maker_loss}


def make(seed=0, rate=0.01):
    keras.utils.set_random_seed(seed)
    model = Pair(rate)
    model.build((None, 2))
    model.compile(keras.optimizers.RMSprop(0.01))
    return model


def kill_in(step):
    """Return a callback that ends the run in a step, after whose predecessor a checkpoint was saved."""
    steps = iter(range(99))

    def hear(batch, logs):
        if next(steps) == step:
            raise Kill

    return keras.callbacks.LambdaCallback(on_train_batch_end=hear)


def train(folder, model, kill=None, epochs=3):
    saver = uk.callbacks.Checkpoint(folder, every_steps=1, every_epochs=1)
    data = uk.data.from_arrays(X).shuffle(0).batch(8)
    return model.fit(data, epochs=epochs, verbose=0, callbacks=[saver, kill_in(kill)], resume=folder)


def state_of(model):
    slots = [*model.optimizer.variables, *model.rules["critic"].variables]
    return [keras.ops.convert_to_numpy(variable) for variable in [*model.variables, *slots]]


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    model = make()
    history = train(tmp_path_factory.mktemp("straight"), model)
    return state_of(model), history.history


@pytest.mark.parametrize("kill", [0, 3, 4])
def test_a_run_with_two_optimizers_goes_on_exactly(kill, straight, tmp_path):
    with pytest.raises(Kill):
        train(tmp_path, make(), kill)
    model = make(seed=9)
    history = train(tmp_path, model)
    assert history.history == straight[1]
    for ours, expected in zip(state_of(model), straight[0], strict=True):
        np.testing.assert_array_equal(ours, expected)
    assert not model.rules["unused"].built


def test_a_second_optimizer_that_differs_is_named(tmp_path):
    train(tmp_path, make(), epochs=1)
    other = make()
    other.rules["critic"] = keras.optimizers.SGD(0.01)
    with pytest.raises(ArgumentValueError, match=r"rules.critic class is 'SGD' here and was 'Adam'"):
        train(tmp_path, other)


def stepped(model):
    uk.function(model.train_step)((X,))
    return model


def test_a_checkpointer_builds_optimizers_as_they_were(tmp_path):
    """Here also that of the model is built by a step, for a part of it."""
    model = stepped(make())
    slots = len(model.optimizer.variables)
    Checkpointer(tmp_path, model=model).save()
    again = make(seed=9)
    Checkpointer(tmp_path, model=again).restore()
    assert len(again.optimizer.variables) == slots < 2 + len(model.trainable_variables)
    for ours, expected in zip(state_of(stepped(again)), state_of(stepped(model)), strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_an_optimizer_that_is_passed_by_name_is_saved_once(tmp_path):
    model = stepped(make())
    Checkpointer(tmp_path, model=model, critic=model.rules["critic"]).save()
    again = stepped(make(seed=9))
    with pytest.raises(CheckpointMismatch, match=r"optimizers.rules.critic is not in the checkpoint"):
        Checkpointer(tmp_path, model=again).restore()
    Checkpointer(tmp_path, model=again, critic=again.rules["critic"]).restore()
    for ours, expected in zip(state_of(again), state_of(model), strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_a_batch_is_a_tuple(tmp_path):
    kinds = []

    class Seen(Pair):
        def train_step(self, data):
            kinds.append(type(data))
            return super().train_step(data)

    model = Seen()
    model.compile("sgd")
    model.fit(uk.data.from_arrays(X).batch(8), verbose=0)
    assert set(kinds) == {tuple}

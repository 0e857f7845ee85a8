"""What a callback changes in the middle of fit takes effect from the next batch on."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

import unikeras as uk
from unikeras.errors import GradientError

X, Y = np.ones((4, 1), "float32"), np.full((4, 1), 3.0, "float32")


def _value(variable):
    return np.array(ops.convert_to_numpy(variable.value))


def _model(optimizer, trainable=True, **options):
    first, second = (
        keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", name=n) for n in ("a", "b")
    )
    inputs = keras.Input((1,))
    model = uk.Model(inputs, second(first(inputs)))
    first.trainable = trainable
    model.compile(optimizer, "mse", **options)
    return model, first


class _After(keras.callbacks.Callback):
    """Change the model after its n-th execution; keep the first weight after each."""

    def __init__(self, change, n=1):
        super().__init__()
        self.change, self.n, self.seen = change, n, []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(_value(self.model.weights[0]).item())
        if len(self.seen) == self.n:
            self.change(self.model)


def _sgd(trains, rate=0.01):
    a = b = 1.0
    values = []
    for trained in trains:
        r = 2 * (a * b - 3)
        a, b = a - (rate * r * b if trained else 0), b - rate * r * a
        values.append(a)
    return values


@pytest.mark.parametrize("to", [True, False])
@pytest.mark.parametrize("again", [True, False])
def test_a_layer_is_frozen_from_the_next_batch_on(to, again):
    model, first = _model(keras.optimizers.SGD(0.01), not to)

    def change(model):
        first.trainable = to
        if again:
            model.compile(keras.optimizers.SGD(0.01), "mse", metrics=["mae"])

    after = _After(change)
    model.fit(X, Y, batch_size=2, epochs=2, verbose=0, callbacks=[after])
    np.testing.assert_allclose(after.seen, _sgd([not to, to, to, to]), rtol=1e-5)


def test_slots_are_kept_and_grow_in_the_order_of_the_variables():
    model, first = _model(keras.optimizers.Adam(0.01), trainable=False)
    old = []

    def unfreeze(model):
        old.extend(model.optimizer.variables)
        first.trainable = True

    model.fit(X, Y, batch_size=2, epochs=2, verbose=0, callbacks=[_After(unfreeze)])
    slots = model.optimizer.variables
    assert {id(v) for v in old} <= {id(v) for v in slots}
    assert [v.name for v in slots[2:]] == [f"{n}_kernel_{s}" for n in "ab" for s in ("momentum", "velocity")]
    assert _value(slots[2]).item() != 0
    assert _value(first.kernel).item() != 1


def test_frozen_slots_stay():
    model, first = _model(keras.optimizers.Adam(0.01), steps_per_execution=2)
    kept = []

    def freeze(model):
        first.trainable = False
        kept.extend(_value(v) for v in [first.kernel, *model.optimizer.variables[2:4]])

    model.fit(X, Y, batch_size=1, epochs=2, verbose=0, callbacks=[_After(freeze)])
    now = [_value(v) for v in [first.kernel, *model.optimizer.variables[2:4]]]
    assert all(map(np.array_equal, kept, now))


@pytest.mark.parametrize("what", ["optimizer", "rate"])
def test_another_optimizer_or_rate(what):
    model, _ = _model(keras.optimizers.SGD(0.01))

    def change(model):
        if what == "optimizer":
            model.optimizer = keras.optimizers.SGD(0.0)
        else:
            model.optimizer.learning_rate = 0.0

    after = _After(change)
    model.fit(X, Y, batch_size=2, epochs=2, verbose=0, callbacks=[after])
    assert after.seen[0] != 1
    assert len(set(after.seen)) == 1


@pytest.mark.parametrize("change", [lambda g: g[:1], lambda g: [*g, *g], lambda g: [ops.ones((9,)), *g[1:]]])
def test_apply_names_gradients_that_do_not_match(change):
    variables = [keras.Variable(np.ones((2, 3), "float32")), keras.Variable(np.ones((3,), "float32"))]
    gradients = [ops.ones(v.shape) for v in variables]
    with uk.GradientTape():
        pass
    with pytest.raises(GradientError, match="gradients"):
        keras.optimizers.SGD().apply(change(gradients), variables)
    keras.optimizers.SGD(1.0).apply((g for g in gradients), (v for v in variables))
    assert not any(_value(v).any() for v in variables)

"""What a compiled function records: all that a tape or a transform asks for, and nothing else."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from helpers.arrays import numpy
from keras import layers, ops

import unikeras as uk
from unikeras.errors import TraceError

pytestmark = pytest.mark.usefixtures("backend")

X = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "float32")


def network():
    return keras.Sequential([keras.Input((3,)), layers.Dense(1, use_bias=False, kernel_initializer="ones")])


def is_recorded(*tensors):
    """Say whether the framework keeps a graph of its own for a tensor."""
    return any(getattr(tensor, "requires_grad", False) for tensor in tensors)


@pytest.mark.parametrize("debug", [False, True])
def test_evaluation_records_nothing(debug):
    model, total = network(), 0.0
    f = uk.function(lambda x: {"y": model(x), "more": [(model(x) * 2, "text", None)]})
    for _ in range(2):
        if debug:
            with uk.debug():
                result = f(X)
        else:
            result = f(X)
        total = total + ops.sum(result["y"])
        assert not is_recorded(result["y"], result["more"][0][0], total)
    assert result["more"][0][1:] == ("text", None)
    assert float(numpy(total)) == 42.0


def test_a_tape_around_it_records():
    model = network()
    inner = uk.function(lambda x: ops.sum(model(x)))
    outer = uk.function(lambda x: inner(x) * 2)
    for f, factor in ((inner, 1.0), (outer, 2.0)):
        for persistent in (False, True):
            with uk.GradientTape(persistent=persistent) as tape:
                y = f(X)
            for _ in range(1 + persistent):
                np.testing.assert_allclose(
                    numpy(tape.gradient(y, model.trainable_variables)[0])[:, 0], factor * X.sum(0)
                )
    assert not is_recorded(inner(X))


def test_a_tape_inside_it_records_for_itself():
    model, optimizer = network(), keras.optimizers.SGD(0.1)

    @uk.function
    def step(x):
        before = ops.sum(model(x))
        with uk.GradientTape() as tape:
            prediction = model(x)
            loss = ops.mean(prediction)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss, prediction, before, gradients

    for i in range(3):
        loss, prediction, before, gradients = step(X)
        assert not is_recorded(loss, prediction, before, *gradients)
        np.testing.assert_allclose(numpy(gradients[0])[:, 0], X.mean(0))
        np.testing.assert_allclose(
            numpy(model.weights[0].value)[:, 0], 1 - 0.1 * (i + 1) * X.mean(0), rtol=1e-5
        )


def test_transforms_around_it_and_inside_it():
    square = uk.function(lambda x: x * x)
    x = ops.convert_to_tensor(X[0])
    np.testing.assert_allclose(numpy(uk.grad(lambda x: ops.sum(square(x)))(x)), 2 * X[0])
    np.testing.assert_allclose(numpy(uk.vmap(uk.grad(square))(x)), 2 * X[0])
    np.testing.assert_allclose(numpy(uk.jacobian(square)(x)), np.diag(2 * X[0]))
    np.testing.assert_allclose(numpy(uk.function(uk.grad(lambda x: ops.sum(square(x))))(x)), 2 * X[0])
    _, tangent = uk.jvp(square, (x,), (x,))
    np.testing.assert_allclose(numpy(tangent), 2 * X[0] * X[0])
    assert not is_recorded(square(x))


def test_second_derivatives_through_it():
    cube = uk.function(lambda x: x * x * x)
    x = ops.convert_to_tensor(2.0)
    with uk.GradientTape() as outer:
        outer.watch(x)
        with uk.GradientTape() as inner:
            inner.watch(x)
            y = cube(x)
        slope = inner.gradient(y, x)
    assert float(numpy(outer.gradient(slope, x))) == 12.0


def test_a_tape_elsewhere_is_not_asked():
    from concurrent.futures import ThreadPoolExecutor

    model = network()
    f = uk.function(lambda x: model(x))
    f(X)
    with ThreadPoolExecutor(1) as pool, uk.GradientTape():
        assert not is_recorded(pool.submit(f, X).result())


def test_pytorch_differentiates_what_its_own_graph_asks_for(backend):
    if backend.name != "torch":
        pytest.skip("asks of PyTorch's own autograd")
    import torch

    model = network()
    f = uk.function(lambda x: model(x))
    x = torch.tensor(X, requires_grad=True)
    f(x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.ones_like(X))
    hidden = torch.nn.Linear(3, 3)
    f(hidden(torch.tensor(X))).sum().backward()
    np.testing.assert_allclose(hidden.bias.grad.numpy(), [2.0, 2.0, 2.0])


def test_pytorchs_own_backward_is_named_or_runs(backend):
    if backend.name != "torch":
        pytest.skip("asks of PyTorch's own autograd")
    import torch

    model = network()

    @uk.function
    def fails(x):
        model(x).sum().backward()

    @uk.function
    def runs(x):
        with torch.enable_grad():
            model(x).sum().backward()

    with pytest.raises(
        TraceError, match=r"backward\(\) .*test_function_gradients\.py.*uk\.GradientTape"
    ) as caught:
        fails(X)
    assert isinstance(caught.value, RuntimeError)
    with pytest.warns(UserWarning, match=r"backward\(\) .*runs as Python"):
        runs(X)
    np.testing.assert_allclose(model.weights[0].value.grad.numpy()[:, 0], X.sum(0))


@pytest.mark.filterwarnings("ignore:.*copy keyword:DeprecationWarning")
def test_a_step_of_pytorchs_own_trains(backend):
    if backend.name != "torch":
        pytest.skip("asks of PyTorch's own autograd")

    class Native(uk.Model):
        def train_step(self, data):
            self.zero_grad()
            loss = self(data, training=True).mean()
            loss.backward()
            self.optimizer.apply([v.value.grad for v in self.trainable_variables], self.trainable_variables)
            return {"loss": loss}

    x = keras.Input((3,))
    model = Native(x, layers.Dense(1, use_bias=False, kernel_initializer="ones")(x))
    model.compile(keras.optimizers.SGD(0.1))
    with pytest.warns(UserWarning, match=r"backward\(\) .*runs as Python"):
        model.fit(X, batch_size=2, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0][:, 0], 1 - 0.1 * X.mean(0), rtol=1e-5)


def test_evaluate_predict_and_steps_record_nothing():
    x = keras.Input((None, 3))
    model = uk.Model(x, layers.LSTM(2)(x))
    model.compile("sgd", "mse")
    sequence = np.ones((2, 4, 3), "float32")
    step = uk.stateful(model)
    y, state = step(sequence, step.initial_state(2))
    assert not is_recorded(y, *keras.tree.flatten(state))
    with uk.GradientTape() as tape:
        y, state = step(sequence, step.initial_state(2))
        loss = ops.sum(y)
    assert all(g is not None for g in tape.gradient(loss, model.trainable_variables))

"""Torch modules inside Keras models: their parameters are variables of the step."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

import unikeras as uk

torch = pytest.importorskip("torch")
if keras.backend.backend() != "torch":
    pytest.skip("Keras takes torch modules under PyTorch only", allow_module_level=True)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


def wrapped(module, outputs=1):
    torch.manual_seed(0)
    inputs = keras.Input((3,))
    hidden = layers.TorchModuleWrapper(module, output_shape=(None, 4))(inputs)
    return uk.Model(inputs, layers.Dense(outputs, kernel_initializer="ones")(hidden))


def values(module):
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def by_autograd(model, x):
    """The gradients of the sum of the outputs, as autograd has them."""
    variables = model.trainable_variables
    return torch.autograd.grad(model(x, training=False).sum(), [variable.value for variable in variables])


@pytest.mark.parametrize(
    "module",
    [
        lambda: torch.nn.Linear(3, 4),
        lambda: torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Tanh()),
        lambda: torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(3, 4)),
    ],
)
def test_gradients_are_those_of_autograd(module):
    model = wrapped(module())
    x = torch.from_numpy(X)
    expected = by_autograd(model, x)
    with uk.GradientTape() as tape:
        loss = ops.sum(model(x, training=False))
    transformed = uk.grad(lambda: ops.sum(model(x, training=False)), variables=model.trainable_variables)()
    for gradients in (tape.gradient(loss, model.trainable_variables), transformed):
        for got, wanted in zip(gradients, expected, strict=True):
            torch.testing.assert_close(got, wanted)


def test_recurrent_module_trains():
    lstm = torch.nn.LSTM(3, 4, batch_first=True)

    class Last(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = lstm

        def forward(self, x):
            return self.lstm(x)[0][:, -1]

    inner = layers.TorchModuleWrapper(Last())
    x = torch.from_numpy(RNG.normal(size=(2, 5, 3)).astype("float32"))
    expected = torch.autograd.grad(inner(x).sum(), list(lstm.parameters()))
    with uk.GradientTape() as tape:
        loss = ops.sum(inner(x))
    for got, wanted in zip(tape.gradient(loss, inner.trainable_variables), expected, strict=True):
        torch.testing.assert_close(got, wanted)


def test_fit_trains_a_module_as_keras_does():
    # Adam divides a gradient by its size: one that is zero but for rounding would move a weight at random. So
    # there is no bias before the normalization, and no kernel that fits Y from the start.
    initial = torch.from_numpy(RNG.normal(size=(4, 3)).astype("float32"))
    results = []
    for kind in (uk.Model, keras.Model):
        module = torch.nn.Sequential(torch.nn.Linear(3, 4, bias=False), torch.nn.BatchNorm1d(4))
        with torch.no_grad():
            module[0].weight.copy_(initial)
        inputs = keras.Input((3,))
        model = kind(
            inputs,
            layers.Dense(1, kernel_initializer="ones")(
                layers.TorchModuleWrapper(module, output_shape=(None, 4))(inputs)
            ),
        )
        model.compile(keras.optimizers.Adam(0.01), "mse")
        model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
        results.append(values(module))
    for name, value in results[0].items():
        torch.testing.assert_close(value, results[1][name])


def test_module_in_a_subclass_trains_under_a_function():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = torch.nn.Linear(3, 1)

        def call(self, x):
            return self.inner(x)

    net, optimizer = Net(), keras.optimizers.SGD(0.1)
    before = values(net.inner.module)

    @uk.function
    def step(x):
        with uk.GradientTape() as tape:
            loss = ops.mean(net(x) ** 2)
        optimizer.apply(tape.gradient(loss, net.trainable_variables), net.trainable_variables)

    step(X)
    assert not torch.equal(before["weight"], net.inner.module.weight)


def test_parameters_without_requires_grad_stay_as_they_are():
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 4))
    model = wrapped(module)
    module[0].requires_grad_(False)
    before = values(module)
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    assert torch.equal(before["0.weight"], module[0].weight)
    assert not torch.equal(before["1.weight"], module[1].weight)
    assert not module[0].weight.requires_grad


def test_gradient_is_of_the_values_that_were_read():
    model = wrapped(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 4)))
    variables = model.trainable_variables
    with uk.GradientTape(persistent=True) as tape:
        loss = ops.sum(model(X) ** 2)
    first = tape.gradient(loss, variables)
    for variable in variables:
        variable.assign(variable * 2.0)
    for got, wanted in zip(tape.gradient(loss, variables), first, strict=True):
        torch.testing.assert_close(got, wanted)


def test_failing_step_leaves_parameters_and_buffers():
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    model, optimizer = wrapped(module), keras.optimizers.SGD(0.1)
    before = values(module)

    @uk.function
    def step(x):
        with uk.GradientTape() as tape:
            loss = ops.mean(model(x, training=True) ** 2)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        step(X)
    for name, value in module.state_dict().items():
        assert torch.equal(before[name], value), name


def test_saved_and_loaded(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    model = wrapped(module)
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=False)
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))


@pytest.mark.parametrize("format", ["torchscript", "pt2"])
def test_a_trained_module_is_exported_with_its_numbers(tmp_path, format):
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Tanh())
    model = wrapped(module)
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    path = tmp_path / f"model{'.pt' if format == 'torchscript' else '.pt2'}"
    uk.export_model(model, path)
    expected = model.predict(X, verbose=0)
    np.testing.assert_allclose(uk.load_artifact(path).predict(X), expected, rtol=1e-5, atol=1e-6)
    assert next(module.parameters()).requires_grad


def test_a_checkpoint_has_parameters_buffers_and_the_generator(tmp_path):
    def make():
        module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
        return wrapped(module), module

    model, module = make()
    model.compile("sgd", "mse")
    model.fit(X, Y, batch_size=8, verbose=0)
    uk.training.Checkpointer(tmp_path, model=model).save()
    saved, drawn = values(module), torch.rand(3)
    again, other = make()
    again.compile("sgd", "mse")
    again.fit(X, -Y, batch_size=4, verbose=0)
    uk.training.Checkpointer(tmp_path, model=again).restore()
    found = values(other)
    assert found.keys() == saved.keys()
    assert "1.num_batches_tracked" in found
    for name, value in saved.items():
        assert torch.equal(found[name], value), name
    assert torch.equal(torch.rand(3), drawn)

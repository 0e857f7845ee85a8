"""`uk.interop.TorchModule` on PyTorch: the module itself, with parameters and buffers as variables of one memory."""

from __future__ import annotations

from types import SimpleNamespace

import keras
import numpy as np
import pytest

import unikeras as uk
from unikeras.errors import ArgumentValueError, CannotSave, CannotStream, UnsafeArtifact
from unikeras.interop import TorchModule

torch = pytest.importorskip("torch")
if keras.backend.backend() != "torch":
    pytest.skip("the module itself runs under PyTorch only", allow_module_level=True)

nn = torch.nn
RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


def normalized(drop=0.0):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Dropout(drop), nn.Linear(4, 1))


def values(module):
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], msg=name)


def model_of(module, kind=uk.Model):
    inputs = keras.Input((3,))
    return kind(inputs, TorchModule(module, name="inner")(inputs))


@pytest.mark.parametrize("kind", [uk.Model, keras.Model])
def test_fit_trains_the_callers_module_as_torch_does(kind):
    module, reference = normalized(), normalized()
    model = model_of(module, kind)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    optimizer = torch.optim.SGD(reference.parameters(), 0.1)
    for start in (0, 8, 0, 8):
        optimizer.zero_grad()
        x, y = (torch.from_numpy(part[start : start + 8]) for part in (X, Y))
        ((reference(x) - y) ** 2).mean().backward()
        optimizer.step()
    assert_equal(values(module), values(reference))
    wanted = reference.eval()(torch.from_numpy(X)).detach().numpy()
    np.testing.assert_allclose(model.predict(X, verbose=0), wanted, rtol=1e-5, atol=1e-6)
    assert_equal(values(module), values(reference))
    assert module.training


def test_training_chooses_the_mode_of_one_call():
    module = normalized(drop=0.5).eval()
    layer = TorchModule(module)
    assert torch.equal(layer(X), layer(X, training=False))
    assert not torch.equal(layer(X, training=True), layer(X, training=True))
    assert not module.training
    assert int(module[1].num_batches_tracked) == 2
    layer.trainable = False
    assert torch.equal(layer(X, training=True), layer(X))
    assert not any(parameter.requires_grad for parameter in module.parameters())


def test_variables_and_module_share_memory_also_after_a_failing_step():
    module = normalized()
    layer = TorchModule(module)
    layer.named_variables["1.running_mean"].assign(np.full(4, 3.0))
    assert module[1].running_mean.tolist() == [3.0] * 4

    @uk.function
    def step(x):
        layer(x, training=True)
        raise ZeroDivisionError

    before = values(module)
    with pytest.raises(ZeroDivisionError):
        step(X)
    assert_equal(values(module), before)
    layer(X, training=True)
    assert torch.equal(layer.named_variables["1.running_mean"].value, module[1].running_mean)
    assert not torch.equal(before["1.running_mean"], module[1].running_mean)


def test_gradients_under_the_tape_are_those_of_autograd():
    module = normalized()
    layer = TorchModule(module)
    with uk.GradientTape() as tape:
        loss = keras.ops.sum(layer(X))
    gradients = tape.gradient(loss, layer.trainable_variables)
    wanted = torch.autograd.grad(module.eval()(torch.from_numpy(X)).sum(), list(module.parameters()))
    for got, expected in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(got, expected)


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 4)
        self.b = nn.Linear(3, 4)
        self.b.weight = self.a.weight
        self.register_buffer("ones", torch.ones(4), persistent=False)
        self.constant = torch.full((4,), 2.0)
        self.calls = 0

    def forward(self, x, z=None, *, scale=None):
        self.calls += 1
        y = self.a(x) * self.ones * self.constant
        y = y if z is None else y + self.b(z)
        y = y if scale is None else y * scale
        return {"y": y, "parts": [y.sum(-1), (x,)]}


def test_structures_ties_and_shapes_without_a_kernel():
    module = Nested()
    layer = TorchModule(module)
    assert len(layer.trainable_variables) == 3
    assert layer.named_variables["b.weight"] is layer.named_variables["a.weight"]
    x, z, scale = keras.Input((3,)), keras.Input((3,)), keras.Input((4,))
    outputs = layer(x, z, scale=scale)
    assert {
        name: keras.tree.map_structure(lambda one: one.shape, part) for name, part in outputs.items()
    } == {
        "y": (None, 4),
        "parts": ((None,), ((None, 3),)),
    }
    assert layer([x, z])["y"].shape == layer({"x": x, "z": z})["y"].shape == (None, 4)
    scales = np.full((16, 4), 3.0, "float32")
    found = keras.Model([x, z, scale], outputs)([X, X, scales])
    wanted = module(*map(torch.from_numpy, (X, X)), scale=torch.from_numpy(scales))
    torch.testing.assert_close(found["y"], wanted["y"])
    module.zero_grad()
    found["y"].sum().backward()
    assert module.a.weight.grad is not None


def test_dynamic_axes_come_from_two_sizes():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.AdaptiveAvgPool2d(2))
    assert TorchModule(net)(keras.Input((3, None, 32))).shape == (None, 4, 2, 2)
    assert TorchModule(net[0])(keras.Input((3, None, 32))).shape == (None, 4, None, 16)
    lstm = TorchModule(nn.LSTM(3, 4, batch_first=True))
    assert lstm(keras.Input((None, 3)))[0].shape == (None, None, 4)


def test_a_recurrent_module_trains_in_a_traced_step():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(3, 1, batch_first=True)

        def forward(self, x):
            return self.lstm(x)[0][:, -1]

    module = Last()
    reference = Last()
    reference.load_state_dict(module.state_dict())
    x = RNG.normal(size=(8, 5, 3)).astype("float32")
    inputs = keras.Input((None, 3))
    model = uk.Model(inputs, TorchModule(module)(inputs))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(x, Y[:8], batch_size=8, verbose=0)
    ((reference(torch.from_numpy(x)) - torch.from_numpy(Y[:8])) ** 2).mean().backward()
    torch.optim.SGD(reference.parameters(), 0.1).step()
    assert_equal(values(module), values(reference))


def test_dtypes_and_flags_are_those_of_the_module():
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)).double()
    module[0].requires_grad_(False)
    layer = TorchModule(module)
    assert layer(X).dtype == torch.float64
    assert [tuple(variable.shape) for variable in layer.trainable_variables] == [(2, 4), (2,)]
    layer.trainable = False
    layer.trainable = True
    assert not module[0].weight.requires_grad
    assert module[1].weight.requires_grad
    with pytest.raises(ArgumentValueError, match="float64"):
        TorchModule(module, dtype="float32")
    mixed = TorchModule(nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)), dtype="mixed_bfloat16")
    assert mixed(X, training=True).dtype == torch.bfloat16
    assert mixed.module[0].weight.dtype == torch.float32


def test_what_has_no_values_is_refused():
    with pytest.raises(ArgumentValueError, match="without a shape"):
        TorchModule(nn.LazyLinear(3))
    with pytest.raises(ArgumentValueError, match="no values yet"):
        TorchModule(nn.Linear(3, 4, device="meta"))


def test_a_clone_is_a_copy_and_a_checkpoint_has_the_buffers(tmp_path):
    module = normalized()
    model = model_of(module)
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    clone = keras.models.clone_model(model)
    assert clone.layers[1].module is not module
    assert_equal(values(clone.layers[1].module), values(module))
    uk.training.Checkpointer(tmp_path, model=model).save()
    saved = values(module)
    model.fit(X, -Y, verbose=0)
    uk.training.Checkpointer(tmp_path, model=model).restore()
    assert_equal(values(module), saved)


class WithoutRule(nn.Linear):
    def forward(self, x):
        return torch.special.bessel_j0(super().forward(x))


def build():
    return WithoutRule(3, 1)


def test_a_module_without_a_program_is_saved_by_the_function_that_builds_it(tmp_path):
    path = tmp_path / "model.keras"
    model = keras.Sequential([TorchModule(build())])
    model(np.abs(X))
    with pytest.raises(CannotSave, match="package:function"):
        model.save(path)
    assert list(tmp_path.iterdir()) == []
    model = keras.Sequential([TorchModule(f"{__name__}:build")])
    model(np.abs(X))
    model.save(path)
    with pytest.raises(UnsafeArtifact, match="safe_mode=False"):
        keras.saving.load_model(path)
    loaded = keras.saving.load_model(path, safe_mode=False)
    torch.testing.assert_close(loaded(np.abs(X)), model(np.abs(X)))


class Chosen(nn.Module):
    def forward(self, x):
        return x[x > 0]


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize("kind", [Chosen, Branching])
@pytest.mark.parametrize("batch", [None, 2])
def test_shapes_that_depend_on_values_are_one_error_in_a_graph(kind, batch):
    with pytest.raises(ArgumentValueError, match=f"{kind.__name__}.*asks for the values"):
        TorchModule(kind())(keras.Input(batch_shape=(batch, 3)))
    assert TorchModule(kind())(np.ones((2, 3), "float32")).shape[0] in (2, 6)


def test_a_recurrent_module_does_not_stream():
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(3, 3, batch_first=True)

        def forward(self, x):
            return self.lstm(x)[0]

    inputs = keras.Input((None, 3))
    hidden = TorchModule(Whole(), name="inner", verify=False)(inputs)
    with pytest.raises((ArgumentValueError, CannotStream), match=r"inner|recurrent layer"):
        uk.stateful(keras.Model(inputs, hidden))
    recurrent = keras.layers.LSTM(2, return_sequences=True)
    with pytest.raises(CannotStream, match="inner"):
        uk.stateful(keras.Model(inputs, recurrent(hidden)))
    step_by_step = TorchModule(nn.Linear(3, 3), verify=False)(inputs)
    assert list(uk.stateful(keras.Model(inputs, recurrent(step_by_step))).initial_state(2)) == [
        recurrent.name
    ]


def test_a_trace_of_an_exporter_opens_no_axis():
    layer = TorchModule(nn.Linear(3, 2), name="inner", verify=False)
    layer(keras.Input((3,)))
    traced = SimpleNamespace(shape=(object(), object()), dtype="float32")
    layer._calls.note(((traced,), {}))
    (array,), axes = layer._calls.example(5, None)
    assert array.shape == (3, 3)
    assert axes is None

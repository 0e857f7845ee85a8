"""Keras models as torch modules: outputs, gradients, training, names, source, and what frameworks ask of a module."""

from __future__ import annotations

import copy
import inspect
import io
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
import torch
from helpers.agreement import randomize
from helpers.networks import NETWORKS, digits, flat, gaps_of, sample, transformer
from keras import layers

import unikeras as uk
from unikeras import lowering
from unikeras.errors import ArgumentError, ArgumentValueError, CannotLower, OutputError

ALL = pytest.mark.parametrize("name", NETWORKS)
# Imports of these fail in a child, as where they are not installed.
WITHOUT_KERAS = """
import sys
for name in ("keras", "unikeras", "tensorflow", "jax"):
    sys.modules[name] = None
"""


def made(name, **options):
    model = randomize(NETWORKS[name]())
    return model, uk.interop.to_torch(model, **options)


def tensors(inputs):
    return [torch.tensor(one) for one in keras.tree.flatten(inputs)]


def outputs_of(module, inputs):
    return [one.detach().numpy() for one in keras.tree.flatten(module(*tensors(inputs)))]


def loaded(model, state):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Keras' epsilon, of which a state_dict says nothing
        return uk.interop.load_state_dict(model, state)


def assert_close(ours, theirs, rtol=1e-4, atol=1e-5):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol)


@ALL
def test_a_module_computes_what_the_model_does_at_any_batch(name):
    model, module = made(name)
    assert not module.training
    for batch in (3, 1):
        inputs = sample(model, batch)
        assert_close(outputs_of(module, inputs), flat(model(inputs, training=False)))


@ALL
def test_weights_go_back_and_forth_bit_for_bit(name):
    model, module = made(name)
    state = {key: value.clone() for key, value in module.state_dict().items()}
    back = uk.interop.state_dict(model, like=module)
    assert all(torch.equal(back[key], value) for key, value in state.items())
    before = [np.array(one) for one in flat(model.weights)]
    randomize(model, seed=9)
    assert loaded(model, state).complete
    for ours, theirs in zip(flat(model.weights), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@ALL
def test_gradients_of_training_are_those_of_keras(name):
    _, apart, _ = gaps_of(name)
    assert apart < 3e-5


def test_a_running_variance_is_torchs_unbiased_one():
    model = randomize(keras.Sequential([keras.Input((3,)), layers.BatchNormalization(name="bn")]))
    module = uk.interop.to_torch(model).train()
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    before = module.bn.running_var.clone().numpy()
    module(torch.tensor(x))
    model(x, training=True)
    np.testing.assert_allclose(module.bn.running_mean, flat([model.layers[0].moving_mean])[0], rtol=1e-5)
    biased, unbiased = x.var(0), x.var(0, ddof=1)
    np.testing.assert_allclose(module.bn.running_var, 0.99 * before + 0.01 * unbiased, rtol=1e-5)
    np.testing.assert_allclose(
        flat([model.layers[0].moving_variance])[0], 0.99 * before + 0.01 * biased, rtol=1e-5
    )


def test_frozen_layers_stay_frozen_with_their_statistics():
    model = digits()
    model.get_layer("conv1").trainable = model.get_layer("bn1").trainable = False
    module = uk.interop.to_torch(randomize(model)).train()
    frozen = {name for name, one in module.named_parameters() if not one.requires_grad}
    assert frozen == {"conv1.weight", "bn1.weight", "bn1.bias"}
    before = module.bn1.running_mean.clone()
    module(*tensors(sample(model)))
    assert torch.equal(module.bn1.running_mean, before)
    assert not module.bn1.training
    assert module.bn2.training


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.Dropout(0.4), (50, 40)),
        (layers.SpatialDropout1D(0.4), (400, 6, 5)),
        (layers.SpatialDropout2D(0.4), (400, 3, 2, 5)),
        (layers.Dropout(0.4, noise_shape=(None, 1, None)), (400, 6, 5)),
    ],
)
def test_dropout_drops_in_training_what_keras_drops(layer, shape):
    module = uk.interop.to_torch(keras.Sequential([keras.Input(shape[1:]), layer]))
    x = torch.ones(shape)
    assert torch.equal(module(x), x)
    dropped = module.train()(x)
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.6])
    assert dropped.eq(0).float().mean().item() == pytest.approx(0.4, abs=0.05)
    if len(shape) > 2:  # whole channels: all places of one are alike
        places = dropped.flatten(1, -2)
        assert torch.equal(places, places[:, :1].expand_as(places))


@pytest.mark.parametrize(
    ("layer", "spread"),
    [
        (layers.GaussianNoise(0.5), 0.5),
        (layers.GaussianDropout(0.2), 0.5),
        (layers.AlphaDropout(0.2), None),
    ],
)
def test_noise_has_its_strength_in_training_alone(layer, spread):
    module = uk.interop.to_torch(keras.Sequential([keras.Input((100,)), layer]))
    x = torch.ones(100, 100)
    assert torch.equal(module(x), x)
    noisy = module.train()(x)
    assert not torch.equal(noisy, x)
    if spread is not None:
        assert (noisy - 1).std().item() == pytest.approx(spread, rel=0.05)


def test_images_go_in_and_come_out_with_channels_first():
    for name in ("digits", "generator", "residual"):
        model, module = made(name, channels_first=True)
        inputs = [np.moveaxis(x, -1, 1) if x.ndim == 4 else x for x in keras.tree.flatten(sample(model))]
        outputs = [np.moveaxis(y, 1, -1) if y.ndim == 4 else y for y in outputs_of(module, inputs)]
        assert_close(outputs, flat(model(sample(model), training=False)))
        assert "permute" not in module.source
        assert module.state_dict().keys() == uk.interop.to_torch(model).state_dict().keys()


def test_the_source_is_what_a_person_would_keep():
    model = digits(dropout=0.5)
    assert (
        uk.interop.to_torch(model).source
        == '''\
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Digits(nn.Module):
    """Takes x (batch, 12, 10, 3) and returns (batch, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8, eps=0.001, momentum=0.01)
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(8, 6, kernel_size=3, stride=2)
        self.dropout = nn.Dropout(0.5)
        self.hidden = nn.Linear(54, 7)
        self.bn2 = nn.BatchNorm1d(7, eps=0.001, momentum=0.01)
        self.fc = nn.Linear(7, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 3, 1, 2)  # channels first
        x = F.relu(self.bn1(self.conv1(x * 0.00392156862745098)))
        x = F.pad(self.pool1(x), [1, 1, 0, 1])
        x = F.relu(self.conv2(x)).flatten(1)
        x = self.dropout(x)
        x = self.bn2(self.hidden(x))
        return self.fc(x)
'''
    )


@ALL
def test_lines_of_the_source_are_short(name):
    _, module = made(name)
    assert max(map(len, module.source.splitlines())) <= 88
    assert "unikeras" not in module.source
    assert "keras." not in module.source


@pytest.mark.parametrize("weights", ["pt", "safetensors"])
def test_saved_sources_and_pickles_load_without_keras(weights, tmp_path):
    """All networks in one child, where neither Keras nor unikeras can be imported."""
    for name in NETWORKS:
        model, module = made(name)
        module.save_source(tmp_path / f"{name}.py", weights=weights)
        inputs = tensors(sample(model))
        torch.save(
            {"inputs": inputs, "module": module, "outputs": module(*inputs)}, tmp_path / f"{name}.pickle"
        )
    script = f"""{WITHOUT_KERAS}
import importlib, torch
def leaves(value):
    return list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, tuple) else [value]
for name in {list(NETWORKS)}:
    kept = torch.load(name + ".pickle", weights_only=False)
    written = importlib.import_module(name).load()
    for module in (written, kept["module"]):
        assert not module.training
        for ours, theirs in zip(leaves(module(*kept["inputs"])), leaves(kept["outputs"]), strict=True):
            assert torch.equal(ours, theirs), name
    assert list(written.state_dict()) == list(kept["module"].state_dict()), name
    flags = [[p.requires_grad for p in module.parameters()] for module in (written, kept["module"])]
    assert flags[0] == flags[1], name
print("all equal")
"""
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert "all equal" in run.stdout, run.stderr


def test_existing_files_are_kept_unless_they_may_be_replaced(tmp_path):
    _, module = made("perceptron")
    path = module.save_source(tmp_path / "net.py")
    before = path.read_text()
    with pytest.raises(OutputError, match="overwrite=True"):
        module.save_source(path)
    path.unlink()
    with pytest.raises(OutputError, match=r"net\.pt exists"):
        module.save_source(path)
    assert module.save_source(path, overwrite=True).read_text() == before
    with pytest.raises(ArgumentValueError, match=r"\.py file"):
        module.save_source(tmp_path / "net.txt")
    with pytest.raises(ArgumentValueError, match="safetensors"):
        module.save_source(path, weights="h5", overwrite=True)


def test_a_module_that_was_changed_has_no_source_any_more(tmp_path):
    _, module = made("perceptron")
    module.out = torch.nn.Linear(32, 7)
    assert module(torch.zeros(1, 16)).shape == (1, 7)
    with pytest.raises(ArgumentValueError, match=r"out\.bias, out\.weight"):
        module.save_source(tmp_path / "net.py")
    assert not list(tmp_path.iterdir())


def test_a_module_copies_moves_and_casts_like_any_other():
    model, module = made("digits")
    x = tensors(sample(model))
    twin = copy.deepcopy(module)
    with torch.no_grad():
        twin.fc.bias += 1
    assert torch.allclose(module(*x) + 1, twin(*x))
    assert twin.source == module.source
    assert module.double()(x[0].double()).dtype == torch.float64
    assert module.bfloat16()(x[0].bfloat16()).dtype == torch.bfloat16
    assert "forward" in inspect.getsource(type(module).__mro__[2])
    stream = io.BytesIO()
    torch.save(twin, stream)
    stream.seek(0)
    again = torch.load(stream, weights_only=False)
    assert torch.equal(again(*x), twin(*x))
    torch.save(again, io.BytesIO())


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "classifier"])
def test_a_module_is_exported_and_scripted(name):
    model, module = made(name)
    x = tensors(sample(model))
    wanted = keras.tree.flatten(module(*x))
    program = torch.export.export(module, tuple(x))
    for ours, theirs in zip(keras.tree.flatten(program.module()(*x)), wanted, strict=True):
        torch.testing.assert_close(ours, theirs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(module)
    for ours, theirs in zip(keras.tree.flatten(scripted(*x)), wanted, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_layer_without_a_rule_is_named_with_all_others():
    class Mine(layers.Layer):
        def call(self, x):
            return x * 2

    class Yours(layers.Layer):
        def call(self, x):
            return x * 3

    model = keras.Sequential([keras.Input((3,)), Mine(name="mine"), Yours(name="yours")])
    with pytest.raises(CannotLower, match="register") as caught:
        uk.interop.to_torch(model)
    assert sorted(caught.value.reasons) == ["mine", "yours"]
    lowering.register(Mine)(lambda layer: lambda x: x * 2)

    class Triple(torch.nn.Module):
        def forward(self, x):
            return x * 3

    lowering.register(Yours)(lambda layer: Triple())
    module = uk.interop.to_torch(model)
    assert torch.equal(module(torch.ones(1, 3)), torch.full((1, 3), 6.0))
    with pytest.raises(CannotLower, match="yours"):
        module.save_source("net.py")


def test_names_that_python_or_torch_have_taken_are_changed():
    names = ["forward", "train", "1x1", "class", "größe x²", "__private", "load", "source", "training", "a b"]
    model = keras.Sequential(
        [keras.Input((2,), name="self"), *(layers.Dense(2, name=name) for name in names)]
    )
    module = uk.interop.to_torch(randomize(model))
    x = sample(model)
    assert_close(outputs_of(module, x), flat(model(x)))
    wanted = [
        "forward_1",
        "train_1",
        "_1x1",
        "_class",
        "größe_x2",
        "_private",
        "load_1",
        "source_1",
        "training_1",
    ]
    assert [name for name, _ in module.named_children()] == [*wanted, "a_b"]


def test_mixed_precision_leaves_in_the_dtype_of_the_weights():
    policy = "mixed_bfloat16"
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, name="conv", dtype=policy),
            layers.BatchNormalization(name="bn", dtype=policy),
            layers.Flatten(dtype=policy),
            layers.Dense(2, name="head", dtype=policy),
        ]
    )
    model.get_layer("conv").trainable = False
    module = uk.interop.to_torch(randomize(model))
    x = sample(model)
    (ours,) = outputs_of(module, x)
    assert ours.dtype == np.float32
    assert not module.conv.weight.requires_grad
    theirs = flat(keras.ops.cast(model(x, training=False), "float32"))[0]
    np.testing.assert_allclose(ours, theirs, rtol=0.05, atol=0.1)
    back = uk.interop.state_dict(model, like=module)
    assert all(torch.equal(back[key], value) for key, value in module.state_dict().items())


def test_what_is_no_model_or_not_built_is_refused():
    with pytest.raises(ArgumentError, match="Keras model"):
        uk.interop.to_torch(layers.Dense(2))
    with pytest.raises(CannotLower, match="no input shape"):
        uk.interop.to_torch(keras.Sequential([layers.Dense(2)]))


def test_training_runs_to_equal_losses():
    model, module = made("transformer")
    (x,) = keras.tree.flatten(sample(model, 4))
    y = np.random.default_rng(3).normal(size=(4, 7, 12)).astype("float32")
    model.compile(keras.optimizers.SGD(0.05), "mse")
    optimizer = torch.optim.SGD([one for one in module.parameters() if one.requires_grad], 0.05)
    module.train()
    for _ in range(3):
        optimizer.zero_grad()
        loss = (module(torch.tensor(x)) - torch.tensor(y)).square().mean()
        loss.backward()
        optimizer.step()
        assert loss.item() == pytest.approx(float(model.train_on_batch(x, y)), rel=1e-4)


def test_dropout_of_attention_is_in_the_module():
    module = uk.interop.to_torch(transformer(dropout=0.3))
    assert module.attention.dropout == 0.3
    assert module.dropout.p == 0.3
    x = torch.ones(2, 7, dtype=torch.int32)
    assert torch.equal(module(x), module(x))
    module.train()
    assert not torch.equal(module(x), module(x))


def test_the_counter_of_batches_comes_back_after_training():
    model, module = made("digits")
    module.train()(*tensors(sample(model)))
    loaded(model, module)
    back = uk.interop.state_dict(model, like=module)
    assert back["bn1.num_batches_tracked"] == 1
    assert all(torch.equal(back[key], value) for key, value in module.state_dict().items())

"""Weights of torch in Keras models and back: rules as arithmetic on arrays, files, matching, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import warnings

import keras
import numpy as np
import pytest
from helpers import torch_weights
from keras import layers
from safetensors.numpy import save_file

import unikeras as uk
from unikeras._base.optional import is_installed
from unikeras.errors import (
    ArgumentError,
    ArgumentValueError,
    ArtifactNotFound,
    CorruptArtifact,
    MissingDependency,
    ParityError,
    UnsafeArtifact,
    WeightsMismatch,
)
from unikeras.interop import _arrangements as arrangements
from unikeras.interop import _attention_links as attention
from unikeras.interop import _convolution_links as convolution
from unikeras.interop import _dense_links as dense
from unikeras.interop import _normalization_links as normalization
from unikeras.interop import _recurrent_links as recurrent
from unikeras.interop._weight_links import Link, Unit

RNG = np.random.default_rng(0)
HAS_TORCH = is_installed("torch")
needs_torch = pytest.mark.skipif(not HAS_TORCH, reason="torch is not installed here")


def floats(*shape):
    return RNG.normal(size=shape).astype("float32")


def linear(name, size_in, size_out):
    return {f"{name}.weight": floats(size_out, size_in), f"{name}.bias": floats(size_out)}


def norm(name, size):
    names = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{one}": floats(size) for one in names}


def warned(*args, **options):
    """Load, and return the report and what was warned of: what the user sees, and not Keras' own deprecations."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        report = uk.interop.load_state_dict(*args, **options)
    return report, [str(one.message) for one in caught if issubclass(one.category, UserWarning)]


def sequential(shape, *parts, **options):
    return keras.Sequential([keras.Input(shape), *parts], **options)


def mlp():
    return sequential(
        (3,), layers.Dense(4, name="one"), layers.Dense(4, name="two"), layers.Dense(2, name="three")
    )


def mlp_state(names=("a", "b", "c")):
    sizes = zip(names, (3, 4, 4), (4, 4, 2), strict=True)
    return {key: array for name, n, m in sizes for key, array in linear(name, n, m).items()}


# Rules without torch. The right sides are written apart from the rules: einsum, loops, explicit gates.
def _gates(array, order):
    size = len(array) // len(order)
    return np.concatenate([array[size * n : size * (n + 1)] for n in order])


def _lstm(t):
    return [t["weight_ih_l0"].T, t["weight_hh_l0"].T, t["bias_ih_l0"] + t["bias_hh_l0"]]


def _gru(t):
    kernels = [
        np.stack([_gates(row, (1, 0, 2)) for row in t[name].T]) for name in ("weight_ih_l0", "weight_hh_l0")
    ]
    return [*kernels, np.stack([_gates(t[name], (1, 0, 2)) for name in ("bias_ih_l0", "bias_hh_l0")])]


def _attention(t):
    found = []
    for n in range(3):
        rows = slice(8 * n, 8 * n + 8)
        found += [
            np.einsum("oi->io", t["in_proj_weight"][rows]).reshape(8, 2, 4),
            t["in_proj_bias"][rows].reshape(2, 4),
        ]
    return [*found, t["out_proj.weight"].T.reshape(2, 4, 8), t["out_proj.bias"]]


def _depthwise(t):
    kernel = np.empty((2, 3, 3, 2), "float32")
    for channel in range(3):
        for number in range(2):
            kernel[:, :, channel, number] = t["weight"][2 * channel + number, 0]
    return [kernel, t["bias"]]


def _flattened(t):
    rows = [c * 6 + h * 2 + w for h in range(3) for w in range(2) for c in range(4)]
    return [t["weight"][:, rows].T, t["bias"]]


def _gru_shapes():
    return {"weight_ih_l0": (12, 3), "weight_hh_l0": (12, 4), "bias_ih_l0": (12,), "bias_hh_l0": (12,)}


def _attended():
    inputs = keras.Input((5, 8))
    return keras.Model(inputs, layers.MultiHeadAttention(2, 4)(inputs, inputs))


RULES = {
    "Linear": (
        lambda: sequential((3,), layers.Dense(4)),
        {"weight": (4, 3), "bias": (4,)},
        lambda t: [np.einsum("oi->io", t["weight"]), t["bias"]],
    ),
    "Conv2d": (
        lambda: sequential((5, 6, 4), layers.Conv2D(6, (3, 2), groups=2)),
        {"weight": (6, 2, 3, 2), "bias": (6,)},
        lambda t: [np.einsum("oihw->hwio", t["weight"]), t["bias"]],
    ),
    "ConvTranspose2d": (
        lambda: sequential((5, 6, 3), layers.Conv2DTranspose(4, (3, 2))),
        {"weight": (3, 4, 3, 2), "bias": (4,)},
        lambda t: [np.einsum("iohw->hwoi", t["weight"]), t["bias"]],
    ),
    "depthwise": (
        lambda: sequential((5, 6, 3), layers.DepthwiseConv2D((2, 3), depth_multiplier=2)),
        {"weight": (6, 1, 2, 3), "bias": (6,)},
        _depthwise,
    ),
    "BatchNorm": (
        lambda: sequential((3,), layers.BatchNormalization(epsilon=1e-5)),
        dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (3,)),
        lambda t: [t["weight"], t["bias"], t["running_mean"], t["running_var"]],
    ),
    "Embedding": (
        lambda: sequential((3,), layers.Embedding(7, 4)),
        {"weight": (7, 4)},
        lambda t: [t["weight"]],
    ),
    "PReLU": (
        lambda: sequential((3, 5, 4), layers.PReLU(shared_axes=[1, 2])),
        {"weight": (4,)},
        lambda t: [t["weight"].reshape(1, 1, 4)],
    ),
    "LSTM": (
        lambda: sequential((5, 3), layers.LSTM(4)),
        {"weight_ih_l0": (16, 3), "weight_hh_l0": (16, 4), "bias_ih_l0": (16,), "bias_hh_l0": (16,)},
        _lstm,
    ),
    "GRU": (lambda: sequential((5, 3), layers.GRU(4)), _gru_shapes(), _gru),
    "MultiheadAttention": (
        _attended,
        {"in_proj_weight": (24, 8), "in_proj_bias": (24,), "out_proj.weight": (8, 8), "out_proj.bias": (8,)},
        _attention,
    ),
    "Flatten": (
        lambda: sequential((3, 2, 4), layers.Flatten(), layers.Dense(5)),
        {"weight": (5, 24), "bias": (5,)},
        _flattened,
    ),
}


@pytest.mark.parametrize("kind", RULES)
def test_arrays_go_where_the_rule_says_and_come_back_equal(kind):
    build, shapes, expected = RULES[kind]
    model, state = build(), {f"layer.{name}": floats(*shape) for name, shape in shapes.items()}
    report = uk.interop.load_state_dict(model, state)
    assert report.complete
    wanted = expected({name.removeprefix("layer."): array for name, array in state.items()})
    for got, array in zip(model.get_weights(), wanted, strict=True):
        np.testing.assert_array_equal(got, array)
    back = uk.interop.state_dict(model, like=state)
    if kind == "LSTM":
        assert not back["layer.bias_hh_l0"].any()
        state["layer.bias_ih_l0"], state["layer.bias_hh_l0"] = wanted[2], back["layer.bias_hh_l0"]
    assert back.keys() == state.keys()
    for name, array in state.items():
        np.testing.assert_array_equal(back[name], array, name)


# (kind, module, function, what takes its place): one mistake in each rule
def _skewed(kernel):
    """Take height for width."""
    *sizes, before, last = kernel.shape
    return Link.of_one(
        "weight",
        (last, before, *sizes),
        kernel,
        lambda t: t.transpose(3, 2, 1, 0).reshape(kernel.shape),
        lambda k: k.reshape(*reversed(sizes), before, last).transpose(3, 2, 1, 0),
    )


def _interleaved(kernel):
    """Take the multiplier for the channel."""
    *sizes, channels, multiplier = kernel.shape
    shape = (channels * multiplier, 1, *sizes)
    return Link.of_one(
        "weight",
        shape,
        kernel,
        lambda t: t.reshape(multiplier, channels, *sizes).transpose(2, 3, 1, 0),
        lambda k: k.transpose(3, 2, 0, 1).reshape(shape),
    )


def _backwards(array):
    return array.reshape(-1)[::-1].reshape(array.shape)


def _reversed_load(link):
    return dataclasses.replace(link, load=lambda *t: [_backwards(one) for one in link.load(*t)])


MUTATIONS = [
    ("Conv2d", convolution, "_reversed_link", lambda true: _skewed),
    ("ConvTranspose2d", convolution, "_reversed_link", lambda true: _skewed),
    ("depthwise", convolution, "_depthwise_link", lambda true: _interleaved),
    ("GRU", recurrent, "_update_first", lambda true: lambda array: array),
    ("LSTM", recurrent, "_same", lambda true: lambda array: np.concatenate(np.split(array, 4, -1)[::-1], -1)),
    ("LSTM", recurrent, "_biases", lambda true: lambda *a: _reversed_load(true(*a))),
    ("MultiheadAttention", attention, "_kernels", lambda true: lambda parts: true(parts[::-1])),
    ("MultiheadAttention", attention, "_packed_bias", lambda true: lambda parts: true(parts[::-1])),
    ("MultiheadAttention", attention, "_flat_kernel", lambda true: lambda *a: _reversed_load(true(*a))),
    (
        "BatchNorm",
        normalization,
        "_vector",
        lambda true: lambda name, v, order: true(_OTHER.get(name, name), v, order),
    ),
    ("Flatten", arrangements, "channels_last_axes", lambda true: lambda rank: tuple(range(rank))),
    ("Flatten", dense, "reordered", lambda true: lambda array, order, axis=0: array),
]
_OTHER = {"running_mean": "running_var", "running_var": "running_mean"}


@pytest.mark.parametrize("number", range(len(MUTATIONS)))
def test_a_mistake_in_a_rule_is_caught(number, monkeypatch):
    kind, module, name, wrong = MUTATIONS[number]
    monkeypatch.setattr(module, name, wrong(getattr(module, name)))
    with pytest.raises(AssertionError):
        test_arrays_go_where_the_rule_says_and_come_back_equal(kind)


@needs_torch
@pytest.mark.parametrize("name", torch_weights.PAIRS)
def test_the_outputs_are_those_of_the_module(name):
    gap, changed = torch_weights.exchange(name)
    assert gap < 1e-5
    assert changed == []


@pytest.mark.parametrize(
    "name", ["linear", "stacked bidirectional lstm", "attention", "flatten", "separable"]
)
def test_a_model_takes_its_own_state_dict(name):
    model, other = torch_weights.keras_model(name), torch_weights.keras_model(name)
    other.set_weights([floats(*array.shape) for array in other.get_weights()])
    assert uk.interop.load_state_dict(model, uk.interop.state_dict(other)).complete
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_names_are_those_of_the_layers():
    inputs = keras.Input((4, 3))
    h = layers.Bidirectional(layers.LSTM(2, return_sequences=True), name="way")(inputs)
    h = sequential((4, 4), layers.BatchNormalization(name="bn"), name="inner")(h)
    model = keras.Model(inputs, layers.Dense(1, name="out")(h))
    names = list(uk.interop.state_dict(model))
    assert [name for name in names if name.startswith("way")] == [
        f"way.{one}_l0{way}"
        for way in ("", "_reverse")
        for one in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]
    assert names[8:] == [
        *(
            f"inner.bn.{one}"
            for one in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        ),
        "out.weight",
        "out.bias",
    ]


# Matching
def test_equal_shapes_go_by_order():
    model, state = mlp(), mlp_state(names=("z", "y", "x"))
    report = uk.interop.load_state_dict(model, state)
    assert [(row.layer, row.module) for row in report.rows] == [("one", "z"), ("two", "y"), ("three", "x")]
    inputs = keras.Input((4,))
    twice = keras.Model(inputs, layers.Dense(4)(layers.Dense(4)(inputs)))
    report = uk.interop.load_state_dict(twice, {**linear("second", 4, 4), **linear("first", 4, 4)})
    assert [(row.module, row.how) for row in report.rows] == [("second", "order"), ("first", "order")]


def test_names_go_before_order():
    model = sequential((4,), layers.Dense(4, name="query"), layers.Dense(4, name="back_key"))
    report = uk.interop.load_state_dict(
        model, {**linear("module.back.key", 4, 4), **linear("module.query", 4, 4)}
    )
    assert [(row.layer, row.module, row.how) for row in report.rows] == [
        ("query", "query", "name"),
        ("back_key", "back.key", "name"),
    ]


def test_a_mapping_goes_before_all():
    model, state = mlp(), mlp_state(names=("one", "two", "three"))
    state.update(linear("other", 4, 4))
    report = uk.interop.load_state_dict(model, state, mapping={"other": "two", "two": None})
    assert [(row.module, row.how) for row in report.rows] == [
        ("one", "name"),
        ("other", "mapping"),
        ("three", "name"),
    ]
    assert report.ignored == ["two.weight", "two.bias"]
    np.testing.assert_array_equal(model.get_layer("two").get_weights()[1], state["other.bias"])


def test_a_normalization_goes_with_the_layer_before_it():
    """Keras runs the shortcut of a block before its second convolution, torch declares it last."""
    model = torch_weights.keras_model("residual")
    kernels = {
        "conv1": (6, 3, 3, 3),
        "bn1": 0,
        "conv2": (6, 6, 3, 3),
        "bn2": 0,
        "down.0": (6, 3, 1, 1),
        "down.1": 0,
    }
    state = {}
    for name, shape in kernels.items():
        state.update({f"{name}.weight": floats(*shape)} if shape else norm(name, 6))
    expected = None
    for keys in (list(state), sorted(state)):  # a .safetensors file is sorted
        report = uk.interop.load_state_dict(model, {key: state[key] for key in keys})
        follows = {row.layer: row.module for row in report.rows}
        expected = expected or follows
        assert follows == expected
        convolution = {model.get_layer(layer).output.name: module for layer, module in follows.items()}
        for layer, module in follows.items():
            if "norm" in layer:
                before = convolution[model.get_layer(layer).input.name]
                assert (before, module) in [("conv1", "bn1"), ("conv2", "bn2"), ("down.0", "down.1")]


def test_a_sorted_file_does_not_tell_an_order():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(4)(layers.Dense(4)(inputs)))
    with pytest.raises(WeightsMismatch, match="sorted by name does not say in which order"):
        uk.interop.load_state_dict(
            model, dict(sorted({**linear("decoder", 4, 4), **linear("encoder", 4, 4)}.items()))
        )
    numbered = {**linear("layer.10", 4, 4), **linear("layer.2", 4, 4)}
    state = {key: numbered[key] for key in sorted(numbered)}
    with pytest.raises(WeightsMismatch):  # 10 before 2
        uk.interop.load_state_dict(model, state)


def test_projections_of_attention_are_found_by_name(tmp_path):
    model = _attended()
    names = ("attention.k_proj", "attention.v_proj", "attention.q_proj", "attention.out_proj")
    state = {key: array for name in names for key, array in linear(name, 8, 8).items()}
    uk.interop.load_state_dict(model, state)
    in_dict = model.get_weights()
    save_file(state, tmp_path / "a.safetensors")
    uk.interop.load_state_dict(model, tmp_path / "a.safetensors")
    query = model.layers[-1].query_dense.kernel
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(query).reshape(8, 8), state["attention.q_proj.weight"].T
    )
    for one, other in zip(in_dict, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    fused = {"blocks.0.attn.qkv.weight": floats(24, 8), "blocks.0.attn.qkv.bias": floats(24)}
    report = uk.interop.load_state_dict(model, {**fused, **linear("blocks.0.attn.proj", 8, 8)})
    assert [(row.kind, row.module) for row in report.rows] == [("MultiheadAttention", "blocks.0.attn")]


def test_parameters_that_stand_alone():
    @keras.saving.register_keras_serializable("tests")
    class Shift(layers.Layer):
        def build(self, shape):
            self.shift = self.add_weight(name="pos_embed", shape=(1, *shape[1:]))

        def call(self, x):
            return x + self.shift

    model = sequential((2, 3), Shift(name="embed"), layers.Dense(3))
    state = {"pos_embed": floats(1, 2, 3), **linear("head", 3, 3), "position_ids": np.arange(2)}
    report = uk.interop.load_state_dict(model, state)
    assert report.ignored == ["position_ids"]
    np.testing.assert_array_equal(model.get_weights()[0], state["pos_embed"])


def test_a_model_with_a_call_of_its_own():
    @keras.saving.register_keras_serializable("tests")
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv, self.flat, self.head = (
                layers.Conv2D(4, 2),
                layers.Flatten(),
                layers.Dense(3, name="out"),
            )

        def call(self, x):
            return self.head(self.flat(self.conv(x)))

    model = Net()
    model(np.zeros((1, 4, 3, 2), "float32"))
    state = {"conv.weight": floats(4, 2, 2, 2), "conv.bias": floats(4), **linear("head", 24, 3)}
    _, (text,) = warned(model, state)
    assert "call() of its own" in text
    np.testing.assert_array_equal(model.head.get_weights()[0], state["head.weight"].T)
    warned(model, state, flatten={"out": (3, 2, 4)})
    wanted, _ = _flattened({"weight": state["head.weight"], "bias": None})
    np.testing.assert_array_equal(model.head.get_weights()[0], wanted)


def test_strict_false_assigns_what_fits():
    model, state = (
        mlp(),
        {**mlp_state(("one", "two", "three")), "three.weight": floats(9, 4), "three.bias": floats(9)},
    )
    before = model.get_layer("three").get_weights()
    report = uk.interop.load_state_dict(model, state, strict=False)
    assert report.left_in_model == ["three"]
    assert report.left_in_state_dict == ["three.weight", "three.bias"]
    assert not report.complete
    np.testing.assert_array_equal(model.get_layer("one").get_weights()[1], state["one.bias"])
    np.testing.assert_array_equal(model.get_layer("three").get_weights()[0], before[0])


def test_tied_weights_have_a_second_name():
    model = sequential((3,), layers.Embedding(7, 4, name="wte"))
    table = floats(7, 4)
    report = uk.interop.load_state_dict(model, {"wte.weight": table, "lm_head.weight": table.copy()})
    assert report.complete
    assert report.ignored == ["lm_head.weight"]
    model.set_weights([floats(7, 4)])
    back = uk.interop.state_dict(model, like={"wte.weight": table, "lm_head.weight": table.copy()})
    np.testing.assert_array_equal(back["lm_head.weight"], model.get_weights()[0])


def test_weight_norm_is_folded():
    model = sequential((3,), layers.Dense(4))
    g, v = np.abs(floats(4, 1)) + 1, floats(4, 3)
    wanted = (g * v / np.linalg.norm(v, axis=1, keepdims=True)).T
    bias = floats(4)
    for names in (
        ("fc.weight_g", "fc.weight_v"),
        [f"fc.parametrizations.weight.original{n}" for n in (0, 1)],
    ):
        uk.interop.load_state_dict(model, {"fc.bias": bias, **dict(zip(names, (g, v), strict=True))})
        np.testing.assert_allclose(model.get_weights()[0], wanted, rtol=1e-6)


def test_settings_that_a_state_dict_does_not_tell():
    model = sequential((3,), layers.BatchNormalization(name="bn"))
    report, texts = warned(model, norm("0", 3))
    assert texts == report.warnings
    assert texts[0].startswith("epsilon is 0.001, Keras' default, in bn; torch's default is 1e-05")


# Files
def test_files_of_safetensors(tmp_path):
    model, state = mlp(), mlp_state(("layers.2", "layers.10", "layers.30"))
    save_file(state, tmp_path / "model.safetensors")
    for path in (tmp_path / "model.safetensors", str(tmp_path)):
        assert uk.interop.load_state_dict(model, path).complete
    one, two = dict(list(state.items())[:3]), dict(list(state.items())[3:])
    places = {**dict.fromkeys(one, "1.safetensors"), **dict.fromkeys(two, "2.safetensors")}
    shards = tmp_path / "shards"
    shards.mkdir()
    save_file(one, shards / "1.safetensors")
    save_file(two, shards / "2.safetensors")
    index = shards / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": dict(sorted(places.items()))}))
    expected = model.get_weights()
    for path in (index, shards):
        other = mlp()
        assert uk.interop.load_state_dict(other, path).complete
        for got, array in zip(other.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(got, array)


def test_halves_become_the_dtype_of_the_model(tmp_path):
    import ml_dtypes

    model, state = mlp(), mlp_state()
    for dtype in (ml_dtypes.bfloat16, np.float16, np.float64):
        halves = {name: array.astype(dtype) for name, array in state.items()}
        save_file(halves, tmp_path / "a.safetensors")
        uk.interop.load_state_dict(model, tmp_path / "a.safetensors", mapping={"a": "one", "b": "two"})
        np.testing.assert_array_equal(model.get_weights()[0], halves["a.weight"].astype("float32").T)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", CorruptArtifact),
        (b"\xff" * 64, CorruptArtifact),
        (b'\x10\0\0\0\0\0\0\0{"a": "no tensor"}', CorruptArtifact),
    ],
)
def test_damaged_files(content, error, tmp_path):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(error, match=r"a\.safetensors"):
        uk.interop.load_state_dict(mlp(), tmp_path / "a.safetensors")


def test_damaged_indices(tmp_path):
    index = tmp_path / "a.safetensors.index.json"
    save_file({"a": floats(1)}, tmp_path / "1.safetensors")
    for places, error, message in (
        ({"a": "../1.safetensors"}, CorruptArtifact, "outside its folder"),
        ({"a": "2.safetensors", "b": "3.safetensors"}, ArtifactNotFound, "2.safetensors, 3.safetensors"),
        ({"b": "1.safetensors"}, CorruptArtifact, "b \\(1.safetensors\\)"),
    ):
        index.write_text(json.dumps({"weight_map": places}))
        with pytest.raises(error, match=message):
            uk.interop.load_state_dict(mlp(), index)
    index.write_text("{}")
    with pytest.raises(CorruptArtifact, match="no index"):
        uk.interop.load_state_dict(mlp(), index)


def test_other_sources(tmp_path):
    with pytest.raises(ArtifactNotFound):
        uk.interop.load_state_dict(mlp(), tmp_path / "absent.safetensors")
    (tmp_path / "a.npz").write_bytes(b"")
    with pytest.raises(ArgumentValueError, match=r"\.npz"):
        uk.interop.load_state_dict(mlp(), tmp_path / "a.npz")
    with pytest.raises(ArgumentError, match="received int"):
        uk.interop.load_state_dict(mlp(), 3)
    with pytest.raises(ArgumentError, match=r"'optimizer' \(dict\), 'epoch' \(int\)"):
        uk.interop.load_state_dict(mlp(), {**mlp_state(), "optimizer": {}, "epoch": 3})
    for name in ("state_dict", "module", "params_ema"):
        assert uk.interop.load_state_dict(
            mlp(), {name: mlp_state(), "epoch": 3, "optimizer": {"a": 1}}
        ).complete
    two = {"generator": mlp_state(), "discriminator": mlp_state()}
    with pytest.raises(ArgumentError, match=r"may be in one of them, such as state_dict\['generator'\]"):
        uk.interop.load_state_dict(mlp(), two)
    for mapping in ([("a", "one")], {"a": 3}):
        with pytest.raises(ArgumentError, match="mapping= takes paths"):
            uk.interop.load_state_dict(mlp(), mlp_state(), mapping=mapping)


@pytest.mark.skipif(HAS_TORCH, reason="torch is installed here")
def test_a_file_of_torch_needs_torch(tmp_path):
    (tmp_path / "a.pt").write_bytes(b"")
    with pytest.raises(MissingDependency, match="pip install torch"):
        uk.interop.load_state_dict(mlp(), tmp_path / "a.pt")


@needs_torch
def test_files_of_torch(tmp_path):
    import torch

    model, module = torch_weights.keras_model("linear"), torch_weights.torch_module("linear").bfloat16()
    torch.save({"epoch": 1, "model": module.state_dict()}, tmp_path / "a.pt")
    assert uk.interop.load_state_dict(model, tmp_path / "a.pt").complete
    np.testing.assert_array_equal(model.get_weights()[0], module.weight.detach().float().numpy().T)
    torch.save(module, tmp_path / "b.pt")
    with pytest.raises(UnsafeArtifact, match=r"save module.state_dict\(\) alone"):
        uk.interop.load_state_dict(model, tmp_path / "b.pt")
    (tmp_path / "c.pt").write_bytes(b"nonsense")
    with pytest.raises((CorruptArtifact, UnsafeArtifact)):
        uk.interop.load_state_dict(model, tmp_path / "c.pt")


@needs_torch
def test_shards_and_checkpoints_of_torch(tmp_path):
    import torch

    state = {name: torch.tensor(array) for name, array in mlp_state(("one", "two", "three")).items()}
    torch.save({"state_dict": {f"model.{name}": one for name, one in state.items()}}, tmp_path / "a.ckpt")
    assert uk.interop.load_state_dict(mlp(), tmp_path / "a.ckpt").complete
    places = {name: f"pytorch_model-{name.partition('.')[0]}.bin" for name in state}
    for file in set(places.values()):
        torch.save({name: one for name, one in state.items() if places[name] == file}, tmp_path / file)
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    for source in (index, tmp_path):
        assert uk.interop.load_state_dict(mlp(), source).complete
    torch.save({"one.bias": torch.nn.Linear(3, 4)}, tmp_path / places["one.bias"])
    model = mlp()
    assert "more than tensors" in unchanged(
        model, lambda: uk.interop.load_state_dict(model, index), UnsafeArtifact
    )


@needs_torch
def test_modules_whose_tensors_are_no_arrays():
    from torch import nn

    model = sequential((3,), layers.Dense(4))
    for module, message in (
        (nn.LazyLinear(4), "weight is not initialized"),
        (nn.Linear(3, 4, device="meta"), "weight is on the meta device; bias is on the meta device"),
    ):
        assert message in unchanged(
            model, lambda m=module: uk.interop.load_state_dict(model, m), ArgumentError
        )

    class Labelled(nn.Linear):
        def get_extra_state(self):
            return "a label"

    message = unchanged(model, lambda: uk.interop.load_state_dict(model, Labelled(3, 4)), ArgumentError)
    assert "the module holds more than named tensors: '_extra_state' (str)" in message


# Refusals
def unchanged(model, call, error=WeightsMismatch):
    """Return the message of an error, after which the model is what it was."""
    before = model.get_weights()
    with pytest.raises(error) as caught:
        call()
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    return str(caught.value)


def test_one_error_names_all_problems():
    model, state = mlp(), mlp_state(("one", "two", "three"))
    state["one.weight"], state["extra.weight"] = floats(4, 9), floats(5, 5)
    del state["three.bias"]
    message = unchanged(model, lambda: uk.interop.load_state_dict(model, state))
    for part in (
        "one: weight (4, 9), bias (4,) does not fit one (Linear): weight (4, 3), bias (4,)",
        "three: weight (2, 4) does not fit three (Linear): weight (2, 4), bias (2,)",
        "no layer takes extra: weight (5, 5)",
        "strict=False",
    ):
        assert part in message


def test_a_mapping_that_names_nothing():
    model = mlp()
    mapping = {"nobody": "one", "a": "onne", "c": "two", "b": None}
    message = unchanged(model, lambda: uk.interop.load_state_dict(model, mlp_state(), mapping=mapping))
    for part in (
        "has no 'nobody'",
        "has no 'onne'. Did you mean 'one'?",
        "c: weight (2, 4), bias (2,) does not fit two",
    ):
        assert part in message
    message = unchanged(
        model, lambda: uk.interop.load_state_dict(model, mlp_state(), mapping={"a": "one", "b": "one"})
    )
    assert "mapping names 'one' 2 times" in message


def test_two_candidates():
    model = sequential((4,), layers.Dense(4))
    message = unchanged(
        model, lambda: uk.interop.load_state_dict(model, {**linear("b", 4, 4), **linear("a", 4, 4)})
    )
    assert "dense" in message
    assert "could take b, a, 2 for 1; mapping= says which" in message
    doubled = {**linear("fc", 4, 4), "fc.gamma": floats(4), "fc.parametrizations.weight.original0": floats(4)}
    doubled |= {"fc.weight_g": floats(4)}
    message = unchanged(model, lambda: uk.interop.load_state_dict(model, doubled))
    assert "two candidates for fc.weight_g" in message


def test_many_layers_of_equal_shapes_are_one_sentence_and_compared_once(monkeypatch):
    asked, accepts = [], Unit.accepts
    monkeypatch.setattr(Unit, "accepts", lambda *args: asked.append(args) or accepts(*args))
    model = sequential((4,), *(layers.Dense(4) for _ in range(30)))
    state = {name: array for number in range(31) for name, array in linear(f"l.{number}", 4, 4).items()}
    message = unchanged(model, lambda: uk.interop.load_state_dict(model, state))
    assert "and 24 more could take l.0, l.1, l.2, l.3, l.4, l.5 and 25 more, 31 for 30" in message
    assert "nothing fits" not in message
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("build", "state", "reason"),
    [
        (lambda: [layers.GRU(4, reset_after=False)], {}, "reset_after=False"),
        (lambda: [layers.SpectralNormalization(layers.Dense(4))], {}, "spectral normalization"),
        (lambda: [layers.Dense(4)], {"fc.weight_orig": (4, 3), "fc.bias": (4,)}, "has a parametrized weight"),
        (
            lambda: [layers.Dense(4)],
            {"fc.parametrizations.weight.original": (4, 3)},
            "weight is parametrized",
        ),
        (lambda: [layers.LSTM(4)], {"lstm.weight_hr_l0": (4, 3)}, "proj_size"),
        (
            lambda: [layers.BatchNormalization(scale=False, epsilon=1e-5)],
            dict.fromkeys(("a.weight", "a.bias", "a.running_mean", "a.running_var"), (3,)),
            "has no weight, and that of a is not all 1",
        ),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(build, state, reason):
    model = sequential((5, 3), *build())
    state = {name: floats(*shape) for name, shape in state.items()} or {"a.weight": floats(2)}
    assert reason in unchanged(model, lambda: uk.interop.load_state_dict(model, state))


def test_what_is_refused_is_left_where_not_all_must_match():
    model = sequential((5, 3), layers.GRU(4, reset_after=False, name="gru"), layers.Dense(2, name="fc"))
    report, (text,) = warned(model, linear("fc", 4, 2), strict=False)
    assert report.left_in_model == ["gru"]
    assert "reset_after=False" in text


def test_values_that_the_dtype_cannot_hold():
    model = sequential((3,), layers.Dense(4))
    packed = {"a.weight": np.zeros((4, 3), "int8"), "a.bias": floats(4)}
    assert "takes no int8" in unchanged(model, lambda: uk.interop.load_state_dict(model, packed))
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, dtype="float16")])
    state = {**linear("a", 3, 4), "a.bias": np.full(4, 1e6, "float32")}
    assert "too large for float16" in unchanged(model, lambda: uk.interop.load_state_dict(model, state))


def test_models_that_cannot_be_meant():
    with pytest.raises(ArgumentError, match="received list"):
        uk.interop.load_state_dict([], {})
    with pytest.raises(ArgumentError, match="verify= takes the torch module; received bool"):
        uk.interop.load_state_dict(mlp(), mlp_state(), verify=True)
    with pytest.raises(ArgumentError, match="not built"):
        uk.interop.state_dict(keras.Sequential([layers.Dense(2)]))
    with pytest.raises(
        ArgumentValueError, match="flatten names nobody; the layers with weights are one, two, three"
    ):
        uk.interop.load_state_dict(mlp(), mlp_state(), flatten={"nobody": (1, 1, 1)})
    model = sequential((2, 3), layers.PReLU(name="bend"))
    model.set_weights([floats(2, 3)])
    with pytest.raises(WeightsMismatch, match="bend has slopes that differ inside a channel"):
        uk.interop.state_dict(model)


def test_the_report_is_data_and_a_table():
    model, state = mlp(), mlp_state()
    report = uk.interop.load_state_dict(model, state)
    assert json.loads(report.to_json())["rows"][0]["tensors"] == ["a.weight", "a.bias"]
    for word in ("one", "a.weight", "Linear"):
        assert word in str(report)


# With the module
@needs_torch
def test_verification_names_the_layer_that_differs():
    from torch import nn

    model = torch_weights.keras_model("flatten")
    module = torch_weights.torch_module("flatten")
    report, (text,) = warned(model, module.state_dict(), verify=module)
    assert "momentum is 0.99; 4 of torch has 0.1, which is 0.9 here" in text
    assert report.parity.equal
    module[1] = nn.ELU()
    message = unchanged(
        model,
        lambda: uk.interop.load_state_dict(model, torch_weights.torch_module("flatten", 1), verify=module),
        ParityError,
    )
    assert "conv2d" in message
    assert "activation is relu; 1 of torch is elu(1.0)" in message


@needs_torch
@pytest.mark.parametrize("name", ["flatten", "flatten of the input", "unflatten"])
def test_flattened_features_are_compared_in_one_order(name):
    model, module = torch_weights.keras_model(name), torch_weights.torch_module(name)
    warned(model, module)
    assert uk.compare.parity(model, against=module, steps=0).equal
    with_slopes = [layer for layer in model.layers if len(layer.weights) == 4]
    for layer in with_slopes:
        weights = layer.get_weights()
        layer.set_weights([weights[0], np.roll(weights[1], 1), *weights[2:]])
        assert uk.compare.parity(model, against=module, steps=0).first.layer == layer.name


@needs_torch
def test_branches_are_flattened_in_one_order():
    from torch import nn

    class Joined(nn.Module):
        def forward(self, parts):
            return torch_weights.flat_together(parts)

    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.joined = nn.Conv2d(3, 2, 3), Joined()
            self.norm, self.last = nn.BatchNorm1d(72), nn.Linear(72, 4)

        def forward(self, x):
            return self.last(self.norm(self.joined([self.conv(x), x])))

    inputs, module = keras.Input((5, 4, 3)), Branches()
    joined = layers.Concatenate()([layers.Flatten()(one) for one in (layers.Conv2D(2, 3)(inputs), inputs)])
    norm = layers.BatchNormalization(epsilon=1e-5, momentum=0.9)
    report = uk.interop.load_state_dict(
        keras.Model(inputs, layers.Dense(4)(norm(joined))), module, verify=module
    ).parity
    assert norm.name in [row.layer for row in report.layers]


@needs_torch
def test_what_a_layer_returned_is_kept_before_an_activation_in_place():
    from torch import nn

    model = sequential(
        (3,), layers.Dense(4), layers.BatchNormalization(epsilon=1e-5, momentum=0.9), layers.ReLU()
    )
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(inplace=True))
    assert uk.interop.load_state_dict(model, module, verify=module).parity.equal


@needs_torch
def test_settings_that_differ_are_warned_of():
    from torch import nn

    model = sequential(
        (8, 8, 2),
        layers.ZeroPadding2D(1),
        layers.Conv2D(2, 3, strides=2),
        layers.Conv2D(2, 3, strides=2, padding="same"),
        layers.BatchNormalization(),
        layers.LeakyReLU(),
        layers.GroupNormalization(1),
        layers.Conv2D(2, 3, padding="same"),
    )
    module = nn.Sequential(
        nn.Conv2d(2, 2, 3, stride=2, padding=1),
        nn.Conv2d(2, 2, 3, stride=2, padding=1),
        nn.BatchNorm2d(2),
        nn.LeakyReLU(),
        nn.GroupNorm(2, 2),
        nn.Conv2d(2, 2, 3, padding=1, dilation=2, padding_mode="reflect"),
    )
    report, texts = warned(model, module)
    assert texts == report.warnings
    found = [text.partition(": ")[2].partition(" is ")[0] for text in report.warnings]
    of_norms = ["epsilon", "momentum", "epsilon", "groups"]
    assert found == ["padding", *of_norms, "dilation", "padding_mode", "activation"]
    assert "'same', here [(0, 1), (0, 1)]; 1 of torch has (1, 1)" in report.warnings[0]
    assert "leaky_relu(0.3); 3 of torch is leaky_relu(0.01)" in report.warnings[-1]

"""`export_model` on the backend in use: what is written, what it says of itself, and what it computes."""

from __future__ import annotations

import json

import numpy as np
import pytest

import unikeras as uk
from unikeras.errors import MissingDependency
from unikeras.export.readers.openvino_import import load_openvino
from unikeras.export.request.format_table import FORMATS

# The formats and their exporters that are installed here.
OFFERS = {row.format: row for row in uk.export_formats()}
AVAILABLE = [name for name in FORMATS if OFFERS[name].available]
RNG = np.random.default_rng(7)


def _mlp():
    import keras
    from keras import layers

    stack = [
        keras.Input((6,), name="x"),
        layers.Dense(8, "relu"),
        layers.BatchNormalization(),
        layers.Dropout(0.5),
        layers.Dense(3, "softmax", name="probability"),
    ]
    return _settled(keras.Sequential(stack, name="mlp")), RNG.normal(size=(5, 6)).astype("float32")


def _cnn():
    import keras
    from keras import layers

    stack = [
        keras.Input((12, 12, 2), name="image"),
        layers.Conv2D(4, 3, activation="relu"),
        layers.BatchNormalization(),
        layers.MaxPooling2D(),
        layers.SeparableConv2D(4, 3, padding="same"),
        layers.Dropout(0.3),
        layers.Flatten(),
        layers.Dense(3, "softmax", name="probability"),
    ]
    return _settled(keras.Sequential(stack, name="cnn")), RNG.normal(size=(5, 12, 12, 2)).astype("float32")


def _pooled():
    import keras
    from keras import layers

    stack = [keras.Input((9, 9, 2), name="image"), layers.Conv2D(4, 3, strides=2, padding="same")]
    stack += [layers.GlobalAveragePooling2D(), layers.Dense(3, name="score")]
    return keras.Sequential(stack, name="pooled"), RNG.normal(size=(5, 9, 9, 2)).astype("float32")


def _two_by_two():
    """Names that are not in alphabetical order, and an output that does not depend on one of the inputs."""
    import keras
    from keras import layers

    right, left = keras.Input((4,), name="right"), keras.Input((4,), name="left")
    hidden = layers.Subtract()([layers.Dense(4)(right), left])
    outputs = {"sum": layers.Dense(1)(hidden), "copy": layers.Dense(2)(left)}
    x = {
        "right": RNG.normal(size=(5, 4)).astype("float32"),
        "left": RNG.normal(size=(5, 4)).astype("float32"),
    }
    return keras.Model({"right": right, "left": left}, outputs, name="two_by_two"), x


def _tokens():
    import keras
    from keras import layers

    tokens = keras.Input((10,), dtype="int32", name="tokens")
    score = layers.Dense(2, name="score")(layers.GlobalAveragePooling1D()(layers.Embedding(50, 8)(tokens)))
    return keras.Model(tokens, score, name="tokens"), RNG.integers(0, 50, (5, 10)).astype("int32")


def _settled(model):
    """Give batch normalization statistics that differ from those that it starts with."""
    for variable in model.non_trainable_variables:
        if "moving" in variable.path:
            variable.assign(RNG.uniform(0.5, 1.5, variable.shape))
    return model


MODELS = {"mlp": _mlp, "cnn": _cnn, "pooled": _pooled, "two_by_two": _two_by_two, "tokens": _tokens}


def _assert_equal(received, expected):
    assert type(received) is type(expected)
    if isinstance(expected, dict):
        assert set(received) == set(expected)
    pairs = expected.items() if isinstance(expected, dict) else [(..., expected)]
    for key, value in pairs:
        got = received if key is ... else received[key]
        assert got.dtype == value.dtype
        np.testing.assert_allclose(got, value, rtol=1e-4, atol=1e-5)


def _export(model, folder, format, **options):
    """Export to a folder and return path and report; where that cannot be, see it refused before any work."""
    path = folder / f"m{OFFERS[format].suffix}"
    if OFFERS[format].available:
        return path, uk.export_model(model, path, **options)
    with pytest.raises(MissingDependency) as caught:
        uk.export_model(model, path, **options)
    assert str(caught.value) == OFFERS[format].reason
    assert list(folder.iterdir()) == []
    return path, None


def _first_route(format):
    return next(iter(OFFERS[format].routes))


def _files(path, format):
    beside = FORMATS[format].beside
    return [path, path.with_suffix(beside)] if beside else [path]


@pytest.mark.parametrize("format", FORMATS)
def test_an_offer_names_routes_or_a_pip_line(format):
    row = OFFERS[format]
    assert bool(row.routes) == row.available == (row.reason == "")
    assert row.available or "not installed here: pip install " in row.reason


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", MODELS)
def test_an_artifact_computes_what_the_model_predicts(tmp_path, name, format):
    model, x = MODELS[name]()
    path, report = _export(model, tmp_path, format)
    if report is None:
        return
    (done,) = report.artifacts
    assert report.ok
    assert (done.format, done.path, done.route) == (format, str(path), _first_route(format))
    assert done.verified_at == [1, 3, 8]
    assert 0 <= done.max_error < 1e-4
    assert done.size > 0
    assert sorted(tmp_path.iterdir()) == sorted(_files(path, format))
    artifact = uk.load_artifact(path)
    _assert_equal(artifact.predict(x), model.predict(x, verbose=0))


@pytest.mark.parametrize("format", FORMATS)
def test_names_shapes_and_dtypes_are_the_models_own(tmp_path, format):
    model, x = _two_by_two()
    path, report = _export(model, tmp_path, format)
    if report is None:
        return
    artifact = uk.load_artifact(path)
    expected = (
        "(right: float32 (None, 4), left: float32 (None, 4)) -> "
        "(sum: float32 (None, 1), copy: float32 (None, 2))"
    )
    assert str(artifact.signature) == expected
    in_order, expected = [x["right"], x["left"]], model.predict(x, verbose=0)
    _assert_equal(artifact.predict(in_order), expected)
    _assert_equal(artifact.predict({"left": x["left"], "right": x["right"]}), expected)


def _onnx_names(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path))
    sides = (session.get_inputs(), session.get_outputs())
    return tuple([(value.name, *value.shape) for value in side] for side in sides)


def _saved_model_names(path):
    import tensorflow as tf

    served = tf.saved_model.load(str(path)).signatures["serving_default"]
    sides = (served.structured_input_signature[1], served.structured_outputs)
    return tuple([(name, "batch", *value.shape[1:]) for name, value in side.items()] for side in sides)


def _torchscript_names(path):
    import torch

    arguments = torch.jit.load(str(path)).forward.schema.arguments[1:]
    return [(argument.name, "batch", 4) for argument in arguments], None


def _pt2_names(path):
    import torch

    signature = torch.export.load(path).graph_signature
    return [(name, "batch", 4) for name in signature.user_inputs], None


def _litert_names(path):
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_path=str(path)).get_signature_runner("serving_default")
    sides = (runner.get_input_details(), runner.get_output_details())
    return tuple(
        [(name, "batch", *value["shape_signature"][1:]) for name, value in side.items()] for side in sides
    )


def _openvino_names(path):
    model = load_openvino().Core().read_model(path)
    sides = (model.inputs, model.outputs)
    return tuple(
        [
            (port.get_any_name(), "batch", *(size.get_length() for size in list(port.partial_shape)[1:]))
            for port in side
        ]
        for side in sides
    )


NATIVE_NAMES = {
    "onnx": _onnx_names,
    "saved_model": _saved_model_names,
    "torchscript": _torchscript_names,
    "pt2": _pt2_names,
    "litert": _litert_names,
    "openvino": _openvino_names,
}

# These keep names, not their order.
UNORDERED = ("saved_model", "litert")


@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated")
@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("format", FORMATS)
def test_the_format_itself_has_the_names_too(tmp_path, format):
    model, _ = _two_by_two()
    path, report = _export(model, tmp_path, format)
    if report is None:
        return
    inputs, outputs = NATIVE_NAMES[format](path)
    in_order = sorted if format in UNORDERED else list
    assert in_order(inputs) == in_order([("right", "batch", 4), ("left", "batch", 4)])
    if outputs is not None:  # TorchScript and .pt2 return a tuple
        assert in_order(outputs) == in_order([("sum", "batch", 1), ("copy", "batch", 2)])


@pytest.mark.parametrize("format", FORMATS)
def test_metadata_travels_inside_the_artifact(tmp_path, format):
    model, _ = _mlp()
    path, report = _export(model, tmp_path, format, rtol=1e-3)
    if report is None:
        return
    note = uk.load_artifact(path).metadata
    assert note["route"] == report.artifacts[0].route
    assert note["verified_at"] == [1, 3, 8]
    assert (note["format"], note["model"], note["rtol"], note["atol"]) == (format, "mlp", 1e-3, 1e-5)
    assert {"keras", "unikeras"} < set(note["versions"])
    assert len(note["weights_sha256"]) == 64
    assert [row["name"] for row in note["signature"]["inputs"]] == ["x"]
    model.layers[0].kernel.assign(model.layers[0].kernel * 2)
    uk.export_model(model, path, overwrite=True)
    assert uk.load_artifact(path).metadata["weights_sha256"] != note["weights_sha256"]


@pytest.mark.parametrize("format", FORMATS)
def test_without_verification_the_artifact_says_so(tmp_path, format):
    model, x = _mlp()
    path, report = _export(model, tmp_path, format)
    if report is None:
        return
    (done,) = uk.export_model(model, path, verify=False, overwrite=True).artifacts
    assert (done.verified_at, done.max_error) == ([], None)
    artifact = uk.load_artifact(path)
    assert artifact.metadata["verified_at"] == []
    _assert_equal(artifact.predict(x), model.predict(x, verbose=0))


def test_several_formats_go_into_a_folder(tmp_path):
    model, x = _mlp()
    if not AVAILABLE:
        with pytest.raises(MissingDependency):
            uk.export_model(model, tmp_path / "out", list(FORMATS))
        assert list(tmp_path.iterdir()) == []
        return
    report = uk.export_model(model, tmp_path / "out", AVAILABLE)
    assert [done.format for done in report.artifacts] == AVAILABLE
    places = {format: tmp_path / "out" / f"mlp{OFFERS[format].suffix}" for format in AVAILABLE}
    expected = sorted(file for format, path in places.items() for file in _files(path, format))
    assert sorted((tmp_path / "out").iterdir()) == expected
    json.dumps(report.to_dict())
    for done in report.artifacts:
        _assert_equal(uk.load_artifact(done.path).predict(x), model.predict(x, verbose=0))


@pytest.mark.parametrize("format", FORMATS)
def test_a_fixed_batch_stays_fixed_and_a_signature_frees_it(tmp_path, format):
    import keras

    model = keras.Sequential([keras.Input((4,), batch_size=5, name="x"), keras.layers.Dense(2)], name="five")
    path, report = _export(model, tmp_path, format)
    if report is None:
        return
    assert report.artifacts[0].verified_at == [5]
    assert uk.load_artifact(path).signature.inputs[0].shape == (5, 4)
    with pytest.raises(uk.errors.SignatureError, match=r"x: float32 \(5, 4\) received shape \(3, 4\)"):
        uk.load_artifact(path).predict(np.ones((3, 4), "float32"))
    free = {"x": keras.InputSpec(shape=(None, 4), dtype="float32")}
    (done,) = uk.export_model(model, path, signature=free, overwrite=True).artifacts
    assert done.verified_at == [1, 3, 8]
    assert uk.load_artifact(path).predict(np.ones((3, 4), "float32")).shape == (3, 2)


@pytest.mark.parametrize("format", FORMATS)
def test_a_subclassed_model_is_known_by_its_first_call(tmp_path, format):
    import keras

    class Doubled(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense = keras.layers.Dense(2)
            self.dropout = keras.layers.Dropout(0.5)

        def call(self, features):
            return self.dropout(self.dense(features) * 2.0)

    model = Doubled()
    x = RNG.normal(size=(2, 6)).astype("float32")
    model(x)
    path, report = _export(model, tmp_path, format)
    if report is None:
        return
    artifact = uk.load_artifact(path)
    assert str(artifact.signature) == "(features: float32 (None, 6)) -> (output_0: float32 (None, 2))"
    _assert_equal(artifact.predict(x), model.predict(x, verbose=0))


@pytest.mark.parametrize("format", FORMATS)
def test_names_that_a_format_cannot_spell_are_kept_by_ours(tmp_path, format):
    import keras

    first, second = keras.Input((2,), name="my input"), keras.Input((2,), name="self")
    outputs = {"self": first - second, "out/1": keras.layers.Dense(3)(first)}
    model = keras.Model({"my input": first, "self": second}, outputs)
    x = {"self": RNG.normal(size=(4, 2)).astype("float32"), "my input": np.ones((4, 2), "float32")}
    path, report = _export(model, tmp_path, format)
    if report is None:
        return
    _assert_equal(uk.load_artifact(path).predict(x), model.predict(x, verbose=0))


@pytest.mark.parametrize("format", FORMATS)
def test_a_sequential_built_by_its_data_keeps_a_free_batch(tmp_path, format):
    import keras

    model = keras.Sequential([keras.layers.Embedding(7, 3), keras.layers.Flatten()])
    x = RNG.integers(0, 7, (2, 5))
    model(x)
    path, report = _export(model, tmp_path, format)
    if report is None:
        return
    assert report.artifacts[0].verified_at == [1, 3, 8]
    _assert_equal(uk.load_artifact(path).predict(x), model.predict(x, verbose=0))


@pytest.mark.parametrize("format", FORMATS)
def test_free_axes_stay_free(tmp_path, format):
    import keras

    stack = [
        keras.Input((None, None, 2), name="image"),
        keras.layers.Conv2D(3, 3, padding="same", name="map"),
    ]
    model = keras.Sequential(stack)
    path, report = _export(model, tmp_path, format)
    if report is None:
        return
    artifact = uk.load_artifact(path)
    expected = "(image: float32 (None, None, None, 2)) -> (map: float32 (None, None, None, 3))"
    assert str(artifact.signature) == expected
    for height, width in ((5, 9), (20, 7)):
        x = RNG.normal(size=(2, height, width, 2)).astype("float32")
        _assert_equal(artifact.predict(x), model.predict(x, verbose=0))


@pytest.mark.parametrize("format", FORMATS)
def test_bytes_and_booleans_are_inputs_too(tmp_path, format):
    import keras

    pixels, mask = (
        keras.Input((6,), dtype="uint8", name="pixels"),
        keras.Input((6,), dtype="bool", name="mask"),
    )
    scaled = keras.layers.Rescaling(1 / 255)(pixels) * keras.ops.cast(mask, "float32")
    model = keras.Model([pixels, mask], [keras.layers.Dense(2)(scaled), scaled > 0.5], name="masked")
    path, report = _export(model, tmp_path, format)
    if report is None:
        return
    x = [RNG.integers(0, 256, (4, 6)).astype("uint8"), RNG.random((4, 6)) < 0.5]
    received, expected = uk.load_artifact(path).predict(x), model.predict(x, verbose=0)
    assert isinstance(received, list)
    for got, want in zip(received, expected, strict=True):
        _assert_equal(got, want)


def test_formats_are_told_without_a_framework(run_script):
    output = run_script(
        """
        import sys
        import unikeras as uk
        rows = uk.export_formats()
        print(not {"keras", "tensorflow", "torch", "jax", "onnx", "onnxruntime"} & set(sys.modules))
        print([(row.format, row.suffix) for row in rows])
        """
    )
    loaded_nothing, rows = output.splitlines()
    assert loaded_nothing == "True"
    assert rows == str([(row.format, row.suffix) for row in OFFERS.values()])

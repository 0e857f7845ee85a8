"""What a call asks of the toolchains: passed on, refused where nobody takes it, and stated in the report."""

from __future__ import annotations

import numpy as np
import pytest

import unikeras as uk
from unikeras.errors import ArgumentError, ArgumentValueError, SignatureError
from unikeras.export.request.options import check_quantize, sort_by_format, tolerances

OFFERS = {row.format: row for row in uk.export_formats()}


def needs(format):
    """Skip where a format cannot be written with this backend alone."""
    return pytest.mark.skipif(not OFFERS[format].available, reason=OFFERS[format].reason)


@pytest.fixture
def model():
    import keras

    keras.utils.set_random_seed(0)
    stack = [keras.Input((4,), name="x"), keras.layers.Dense(3, "tanh"), keras.layers.Dense(2, name="y")]
    return keras.Sequential(stack, name="small")


def test_options_go_to_the_formats_that_take_them():
    named = {"opset": 18, "quantize": None, "endpoints": {"f": 1}}
    expected = {"onnx": {"opset": 18}, "saved_model": {"endpoints": {"f": 1}}, "pt2": {}}
    assert sort_by_format(["onnx", "saved_model", "pt2"], named, {}) == expected
    assert sort_by_format(["pt2"], {}, {"strict": True}) == {"pt2": {"strict": True}}


@pytest.mark.parametrize(
    ("formats", "named", "exporter", "message"),
    [
        (["pt2", "onnx"], {"quantize": "int8"}, {}, "quantize= is for litert; this call writes pt2, onnx"),
        (["pt2"], {"opset": 18}, {}, "opset= is for onnx and openvino; this call writes pt2"),
        (["pt2", "onnx"], {}, {"strict": True}, "strict: a toolchain's own arguments fit one format"),
    ],
)
def test_an_option_that_nobody_takes_is_refused(formats, named, exporter, message):
    with pytest.raises(ArgumentValueError, match=message):
        sort_by_format(formats, named, exporter)


@pytest.mark.parametrize(
    ("quantize", "samples", "message"),
    [("int4", None, "has to be 'float16' or 'int8'; received 'int4'"), ("int8", None, "needs samples=")],
)
def test_a_quantization_that_cannot_be_is_refused(quantize, samples, message):
    with pytest.raises(ArgumentValueError, match=message):
        check_quantize(quantize, samples)


@pytest.mark.parametrize(
    ("policy", "quantize", "expected"),
    [
        ("float32", None, (1e-4, 1e-5)),
        ("mixed_float16", None, (1e-2, 5e-3)),
        ("mixed_bfloat16", None, (5e-2, 5e-2)),
        ("float32", "int8", (1e-1, 1e-1)),
    ],
)
def test_coarse_numbers_have_coarse_tolerances(policy, quantize, expected):
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, dtype=policy)])
    assert tolerances(model, quantize, 1e-4, 1e-5) == expected
    assert tolerances(model, quantize, 0.5, 0.5) == (0.5, 0.5)


@needs("onnx")
@pytest.mark.parametrize("opset", [18, 20])
def test_the_operator_set_is_the_one_asked_for(tmp_path, model, opset):
    import onnx

    (offer,) = [row for row in uk.export_formats() if row.format == "onnx"]
    if opset > 18 and set(offer.routes) == {"tf2onnx"}:
        pytest.skip("tf2onnx, the only toolchain here, writes operator sets up to 18")
    uk.export_model(model, tmp_path / "m.onnx", opset=opset)
    assert onnx.load(tmp_path / "m.onnx").opset_import[0].version == opset


@needs("pt2")
def test_an_argument_that_no_toolchain_knows_is_told(tmp_path, model):
    with pytest.raises(ArgumentError, match="export_model takes no nonsense=; the toolchains of this format"):
        uk.export_model(model, tmp_path / "m.pt2", nonsense=1)
    assert list(tmp_path.iterdir()) == []


@needs("saved_model")
def test_a_saved_model_has_more_endpoints(tmp_path, model):
    import keras
    import tensorflow as tf

    wanted = {
        "hidden": (lambda net, x: net.layers[0](x), [keras.InputSpec(shape=(None, 4), dtype="float32")])
    }
    uk.export_model(model, tmp_path / "m", endpoints=wanted)
    x = np.ones((2, 4), "float32")
    loaded = tf.saved_model.load(str(tmp_path / "m"))
    np.testing.assert_allclose(loaded.hidden(x), keras.ops.convert_to_numpy(model.layers[0](x)), rtol=1e-5)


@needs("litert")
@pytest.mark.parametrize("quantize", ["float16", "int8"])
def test_a_quantized_file_is_smaller_and_near(tmp_path, model, quantize):
    import keras

    wide = keras.Sequential([model, *map(keras.layers.Dense, (256, 256, 2))], name="wide")
    samples = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
    (full,) = uk.export_model(wide, tmp_path / "full.tflite").artifacts
    options = {"quantize": quantize, "samples": samples}
    (small,) = uk.export_model(wide, tmp_path / "small.tflite", **options).artifacts
    assert small.size < full.size
    assert (small.rtol, small.verified_at) == ({"float16": 1e-2, "int8": 1e-1}[quantize], [1, 3, 40])
    assert small.max_error > full.max_error
    assert uk.load_artifact(tmp_path / "small.tflite").metadata["rtol"] == small.rtol


@needs("litert")
def test_samples_have_to_fit(tmp_path, model):
    samples = {"z": np.ones((3, 4))}
    with pytest.raises(SignatureError, match="expected the inputs x; received"):
        uk.export_model(model, tmp_path / "m.tflite", quantize="int8", samples=samples)
    assert list(tmp_path.iterdir()) == []

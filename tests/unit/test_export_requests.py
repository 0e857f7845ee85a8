"""What a call of `export_model` asks for is what the file holds, and what the model predicts is what it computes."""

from __future__ import annotations

import numpy as np
import pytest

import unikeras as uk
from unikeras.errors import ArgumentError, ArgumentValueError, ExportError, UnknownFormat
from unikeras.export.readers import _pt2_archive
from unikeras.export.reference import reference_of
from unikeras.export.request import format_table
from unikeras.export.request.options import check_known, check_opset
from unikeras.export.verify import options_read_back

OFFERS = {row.format: row for row in uk.export_formats()}


def needs(format):
    """Skip where a format cannot be written with this backend alone."""
    return pytest.mark.skipif(not OFFERS[format].available, reason=OFFERS[format].reason)


def _dense():
    import keras

    return keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(2, "relu")], name="small")


@needs("onnx")
def test_an_older_operator_set_is_in_the_file(tmp_path):
    import onnx

    (row,) = uk.export_model(_dense(), tmp_path / "m.onnx", opset=13).artifacts
    assert onnx.load(tmp_path / "m.onnx").opset_import[0].version == 13
    assert all(passed.reason == "wrote operator set 18, not 13" for passed in row.passed_over)


@needs("onnx")
def test_an_operator_set_that_was_not_written_is_told(tmp_path):
    uk.export_model(_dense(), tmp_path / "m.onnx", opset=17)
    options_read_back.check("onnx", tmp_path / "m.onnx", {"opset": 17})
    with pytest.raises(ExportError, match="wrote operator set 17, not 12"):
        options_read_back.check("onnx", tmp_path / "m.onnx", {"opset_version": 12})


@pytest.mark.parametrize(
    ("opset", "error"),
    [("18", ArgumentError), (True, ArgumentError), (5, ArgumentValueError), (999, ArgumentValueError)],
)
def test_an_operator_set_that_nobody_writes_is_refused(opset, error):
    pytest.importorskip("onnx")
    with pytest.raises(error, match="opset is "):
        check_opset(opset)


def test_a_keyword_with_a_typo_is_refused_with_the_one_that_was_meant(tmp_path):
    with pytest.raises(ArgumentError, match=r"takes no quantise=, did you mean quantize=\?; no input_names="):
        check_known(["quantise", "input_names"], ["strict"], ["quantize"])
    with pytest.raises(ArgumentError, match="did you mean overwrite="):
        uk.export_model(_dense(), tmp_path / "m.pt2", overwrit=True)


def test_formats_are_known_by_their_suffix_too():
    assert (
        format_table.find_format("tflite")
        is format_table.find_format(".TFLite")
        is format_table.FORMATS["litert"]
    )
    with pytest.raises(UnknownFormat, match=r"unknown format 'onx'; did you mean 'onnx'\?"):
        format_table.find_format("onx")


@pytest.mark.parametrize(
    ("name", "way"),
    [("m.keras", "keras.saving.load_model"), ("m.pth", "load_state_dict"), ("m.safetensors", "load_file")],
)
def test_files_of_another_kind_are_told_how_to_be_read(tmp_path, name, way):
    (tmp_path / name).write_bytes(b"1")
    with pytest.raises(UnknownFormat, match=f"which means no format; .*{way}"):
        uk.load_artifact(tmp_path / name)


def _text_model():
    import keras

    class Text(keras.Model):
        def __init__(self):
            super().__init__(name="text")
            self.embed, self.score = keras.layers.Embedding(50, 4), keras.layers.Dense(2)

        def call(self, inputs):
            hidden = keras.ops.mean(self.embed(inputs["tokens"]), axis=1)
            return self.score(hidden * keras.ops.mean(inputs["weights"], axis=1, keepdims=True))

    return Text()


def test_tokens_of_a_subclassed_model_are_integers():
    model = _text_model()
    model({"tokens": np.ones((2, 7), "int32"), "weights": np.ones((2, 3), "float32")})
    reference = reference_of(model)
    assert {spec.name: spec.dtype for spec in reference.signature.inputs} == {
        "tokens": "int32",
        "weights": "float32",
    }
    (remark,) = reference.remarks
    assert "weights is taken to be float32; signature=" in remark


def test_inputs_of_a_graph_have_their_dtypes_and_no_remark():
    import keras

    model = _dense()
    model.name = "graph"
    assert isinstance(model, keras.Model)
    assert reference_of(model).remarks == ()


def test_a_model_without_a_call_names_its_parts(tmp_path):
    import keras

    class Pair(keras.Model):
        def __init__(self):
            super().__init__(name="pair")
            self.generator, self.critic = _dense(), _dense()

    with pytest.raises(ExportError, match=r"has no call\(\).*models that it holds: 'small', 'small'"):
        uk.export_model(Pair(), tmp_path / "m.onnx")


def test_what_predict_computes_is_what_an_artifact_has_to():
    import keras

    x = keras.Input((5, 4, 1), dtype="uint8", name="photo")
    model = keras.Model(x, keras.layers.Rescaling(1 / 255)(keras.layers.Resizing(3, 3)(x)), name="photo")
    reference = reference_of(model)
    batches = reference.batches
    for run in batches:
        np.testing.assert_allclose(run.outputs[0], model.predict(run.inputs[0], verbose=0), atol=1e-6)
    called = keras.ops.convert_to_numpy(model(batches[0].inputs[0]))
    differs = np.abs(called - batches[0].outputs[0]).max() > 1e-3
    assert any("model.predict(x)" in remark for remark in reference.remarks) == differs


def test_raw_audio_is_tried_at_lengths_that_it_takes():
    import keras

    x = keras.Input((None, 1), name="audio")
    model = keras.Model(x, keras.layers.GlobalAveragePooling1D()(keras.layers.Conv1D(2, 400, strides=160)(x)))
    reference = reference_of(model)
    batches = reference.batches
    lengths = [run.inputs[0].shape[1] for run in batches]
    # TensorFlow computes something of less than a window, too.
    assert lengths in ([512, 768, 1024], [128, 192, 256])
    told = any("512 or more" in remark for remark in reference.remarks)
    assert told == (lengths[0] == 512)


def test_inputs_of_their_own_lengths_are_tried_with_different_ones():
    import keras
    from keras import layers

    apart = [keras.Input((None, 3), name=name) for name in ("a", "b")]
    model = keras.Model(apart, layers.Concatenate()([layers.GlobalMaxPooling1D()(one) for one in apart]))
    assert all(run.inputs[0].shape[1] != run.inputs[1].shape[1] for run in reference_of(model).batches)
    together = keras.Model(apart, layers.Add()(apart))
    assert all(run.inputs[0].shape[1] == run.inputs[1].shape[1] for run in reference_of(together).batches)


def test_samples_hold_steps_of_zeros():
    import keras

    x = keras.Input((6, 3), name="x")
    run = reference_of(keras.Model(x, keras.layers.Dense(1)(x))).batches[-1]
    assert not run.inputs[0][0, 4:].any()
    assert not run.inputs[0][-1, 3].any()
    assert run.inputs[0][0, :4].all()


def test_comparisons_of_sizes_are_harmless():
    harmless = _pt2_archive._is_harmless
    assert harmless(
        "expr_str", "GreaterThan(Mul(Integer(6), Symbol('s77', positive=True, integer=True)), Integer(12))"
    )
    assert harmless("target", "torch._functorch.predispatch._add_batch_dim")
    assert not harmless("target", "torch._functorch.predispatch.torch")
    assert not harmless("expr_str", "GreaterThan(open('x'), Integer(12))")


@pytest.mark.skipif(not OFFERS["pt2"].available, reason=OFFERS["pt2"].reason)
def test_a_strided_and_pooled_sequence_keeps_its_length_free():
    import keras
    import torch
    from keras import layers

    from unikeras import lowering

    x = keras.Input((None, 3), name="x")
    hidden = layers.Conv1D(4, 5, strides=2, padding="same")(x)
    model = keras.Model(x, layers.MaxPooling1D(2, padding="same")(hidden), name="speech")
    module = lowering.to_torch(model, recurrence="scan").requires_grad_(False)
    free = ({0: torch.export.Dim("batch"), 1: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(module, (torch.zeros(2, 48, 3),), dynamic_shapes=free)
    data = np.random.default_rng(0).normal(size=(3, 71, 3)).astype("float32")
    got = program.module()(torch.tensor(data)).numpy()
    np.testing.assert_allclose(got, model.predict(data, verbose=0), atol=1e-5)


@needs("litert")
def test_a_model_that_keras_quantized_is_refused_by_name(tmp_path):
    model = _dense()
    model.layers[0].quantize("int8")
    with pytest.raises(ExportError, match=r"is quantized by Keras .int8.*quantize='int8' and samples="):
        uk.export_model(model, tmp_path / "m.tflite")

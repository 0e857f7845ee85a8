"""The parts of an export that need no framework: structure, signature, comparison, targets, report."""

from __future__ import annotations

import json

import numpy as np
import pytest

from unikeras._base.text import brief
from unikeras._keras.samples import Sizes, sample
from unikeras._specs.structure import leaves_as, put_together, take_apart
from unikeras.errors import (
    ArgumentError,
    ArgumentValueError,
    ExportError,
    ExportMismatch,
    OutputError,
    SignatureError,
    UnknownFormat,
    WorkerDied,
)
from unikeras.export import ArtifactReport, ExportReport, Signature, TensorSpec
from unikeras.export._metadata import loads, versions
from unikeras.export._report import SkippedWriter
from unikeras.export.reference.axes import name_inputs, name_output
from unikeras.export.reference.probe import _candidates
from unikeras.export.request.format_table import FORMATS
from unikeras.export.request.limits import axes_hint, check_can_hold
from unikeras.export.request.needs import describe_missing
from unikeras.export.request.targets import Target, check_free, targets
from unikeras.export.verify.comparison import largest_error

NESTED = {"b": [1.5, {"x": 2.5}], "a": 3.5}


def test_a_structure_keeps_its_own_order():
    structure, leaves = take_apart(NESTED)
    assert (structure, leaves) == ({"b": [0, {"x": 1}], "a": 2}, [1.5, 2.5, 3.5])
    assert put_together(structure, leaves) == NESTED
    assert leaves_as(structure, {"a": 3.5, "b": (1.5, {"x": 2.5})}) == leaves


def test_a_list_of_one_and_its_item_are_the_same():
    assert leaves_as([0], "y") == leaves_as(0, ["y"]) == leaves_as([0], ["y"]) == ["y"]


@pytest.mark.parametrize("value", [{"a": 1}, [1, 2, 3], {"a": 1, "c": 2}, 1])
def test_another_structure_is_refused(value):
    with pytest.raises(ValueError, match="expected the structure"):
        leaves_as({"a": 0, "b": 1}, value)


def _signature(arguments, *names):
    inputs = tuple(TensorSpec(name, (None, 2), "float32") for name in names)
    return Signature(inputs, (TensorSpec("y", (None, 1), "float32"),), arguments, 0)


def test_inputs_come_by_name_in_order_or_nested():
    one, two = np.ones((1, 2)), np.zeros((1, 2))
    pair = _signature([{"b": 0, "a": 1}], "b", "a")
    assert pair.flatten({"a": one, "b": two}) == [two, one]
    assert pair.flatten([one, two]) == pair.flatten((one, two)) == [one, two]
    nested = _signature([[0, [1]]], "b", "a")
    assert nested.flatten([one, [two]]) == nested.flatten({"b": one, "a": two}) == [one, two]
    alone = _signature([0], "x")
    assert alone.flatten(one) == alone.flatten([one]) == alone.flatten({"x": one}) == [one]
    assert alone.flatten([[1.0, 2.0]]) == [[[1.0, 2.0]]]


@pytest.mark.parametrize(
    ("x", "came"),
    [({"a": 1, "c": 2}, "names a, c"), ([1, 2, 3], "3 of them"), (1, "1")],
)
def test_other_inputs_are_refused(x, came):
    with pytest.raises(SignatureError, match=f"expected the inputs b, a; received {came}"):
        _signature([{"b": 0, "a": 1}], "b", "a").flatten(x)


def test_a_signature_travels_as_json():
    signature = _signature([{"b": 0, "a": [1]}], "b", "a")
    assert Signature.from_dict(json.loads(json.dumps(signature.to_dict()))) == signature
    assert str(signature) == "(b: float32 (None, 2), a: float32 (None, 2)) -> (y: float32 (None, 1))"


def test_parameters_are_identifiers_and_distinct():
    names = ["my input", "my-input", "class", "self", "_x", "1st", "x"]
    expected = ["my_input", "my_input_1", "class_", "self_", "x_x", "x1st", "x"]
    assert _signature(list(range(7)), *names).identifiers == expected


def _error(left, right, rtol=1e-4, atol=1e-5):
    return largest_error(["y"], [np.asarray(left)], [np.asarray(right)], rtol, atol, "at batch 3")


@pytest.mark.parametrize(
    ("left", "right", "error"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 2.0], [1.0, 2.0 + 1e-4], 1e-4),
        ([np.nan, np.inf, -np.inf], [np.nan, np.inf, -np.inf], 0.0),
        ([1, 2], [1, 2], 0.0),
        (np.zeros((0, 3)), np.zeros((0, 3)), 0.0),
        (np.float16([1.0]), np.float16([1.0]), 0.0),
        (np.complex64([1j]), np.complex64([1j]), 0.0),
    ],
)
def test_equal_outputs_have_an_error(left, right, error):
    assert _error(left, right) == pytest.approx(error)


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        (
            [[1.0, 2.0]],
            [[1.0, 2.5]],
            r"output 'y' at batch 3 is 2.0 in the model and 2.5 .* index \(0, 1\); 1 of 2",
        ),
        ([1.0, np.nan], [1.0, 2.0], r"is nan in the model and 2.0 in the artifact at index \(1,\)"),
        ([1.0, 2.0], [np.nan, 2.0], r"is 1.0 in the model and nan in the artifact at index \(0,\)"),
        ([np.inf], [-np.inf], "is inf in the model and -inf"),
        ([np.inf], [1.0], "is inf in the model and 1.0"),
        ([1.0], [np.inf], "is 1.0 in the model and inf"),
        ([100000], [100001], "is 100000 in the model and 100001"),
        ([True], [False], "is True in the model and False"),
        ([1.0], [[1.0]], r"has shape \(1,\) in the model and \(1, 1\) in the artifact"),
        ([1.0], np.float32([1.0]), "has dtype float64 in the model and float32 in the artifact"),
    ],
)
def test_a_difference_is_told_with_its_place(left, right, message):
    with pytest.raises(ExportMismatch, match=message):
        _error(left, right)


def test_the_largest_excess_is_the_one_told():
    with pytest.raises(ExportMismatch, match=r"index \(2,\); 2 of 3"):
        _error([1000.0, 1.0, 1.0], [1000.05, 1.5, 3.0])


def test_another_number_of_outputs_is_a_mismatch():
    with pytest.raises(ExportMismatch, match="the model has 1 outputs and the artifact 2"):
        largest_error(["y"], [np.ones(1)], [np.ones(1), np.ones(1)], 0, 0)


@pytest.mark.parametrize(
    ("path", "format", "expected"),
    [
        ("a/m.onnx", None, [("onnx", "a/m.onnx")]),
        ("m.PT", None, [("torchscript", "m.PT")]),
        ("m.tflite", None, [("litert", "m.tflite")]),
        ("out", ["openvino", "pt2"], [("openvino", "out/mlp.xml"), ("pt2", "out/mlp.pt2")]),
        ("m", None, [("saved_model", "m")]),
        ("m.v2", "saved_model", [("saved_model", "m.v2")]),
        ("out", ["onnx", "saved_model", "onnx"], [("onnx", "out/mlp.onnx"), ("saved_model", "out/mlp")]),
    ],
)
def test_a_path_and_a_format_say_what_to_make(path, format, expected):
    assert [(t.format.name, t.path.as_posix()) for t in targets("mlp", path, format)] == expected


@pytest.mark.parametrize(
    ("path", "format", "error", "message"),
    [
        ("m.h5", None, UnknownFormat, r"'m.h5' ends in '.h5', which means no format; allowed are .pt"),
        ("m", "pt2", UnknownFormat, "'m' contradicts format 'pt2', whose artifacts end in '.pt2'"),
        ("m", "keras", UnknownFormat, "unknown format 'keras'; offered are saved_model, torchscript, onnx"),
        (
            "m",
            ["onnx", "h5"],
            UnknownFormat,
            "unknown format 'h5'; offered are saved_model, torchscript, onnx",
        ),
        ("m.pt", "onnx", UnknownFormat, "'m.pt' contradicts format 'onnx', whose artifacts end in '.onnx'"),
        (
            "m.onnx",
            "saved_model",
            UnknownFormat,
            "contradicts format 'saved_model', whose artifacts are folders",
        ),
        ("m", "torchscript", UnknownFormat, "whose artifacts end in '.pt'"),
        ("m", [], ArgumentError, r"format has to be a name, a list of names, or None; received \[\]"),
        ("m", 3, ArgumentError, "received 3"),
        ("m", [None], ArgumentError, "received"),
        ("", None, ArgumentError, "path has to be the path of a file or folder; received ''"),
        (None, None, ArgumentError, "received None"),
    ],
)
def test_a_path_or_a_format_that_says_nothing_is_refused(path, format, error, message):
    with pytest.raises(error, match=message):
        targets("mlp", path, format)


def _make(path, kind):
    if kind == "file":
        path.write_text("precious")
    elif kind == "weights":
        path.with_suffix(".bin").write_text("precious")
    elif kind == "link":
        path.symlink_to("nowhere")
    else:
        path.mkdir()
        if kind == "folder":
            (path / "precious").write_text("x")
        elif kind == "export":
            (path / "assets.extra").mkdir()
            (path / "assets.extra" / "unikeras.json").write_text("{}")
            (path / "saved_model.pb").write_text("x")


@pytest.mark.parametrize(
    ("format", "kind", "overwrite", "message"),
    [
        ("onnx", "file", False, "exists; pass overwrite=True to replace it"),
        ("onnx", "link", False, "exists; pass overwrite=True to replace it"),
        ("saved_model", "empty", False, "exists; pass overwrite=True"),
        ("saved_model", "export", False, "exists; pass overwrite=True"),
        ("openvino", "weights", False, r"m.bin exists; pass overwrite=True"),
        ("onnx", "folder", True, "is a folder, and onnx makes a file"),
        ("saved_model", "file", True, "is a file, and saved_model makes a folder"),
        ("saved_model", "folder", True, "is no earlier export by unikeras"),
    ],
)
def test_what_stands_there_is_not_replaced(tmp_path, format, kind, overwrite, message):
    _make(tmp_path / "m", kind)
    with pytest.raises(OutputError, match=message):
        check_free(Target(FORMATS[format], tmp_path / "m"), overwrite)


@pytest.mark.parametrize(
    ("format", "kind"), [("onnx", "file"), ("saved_model", "empty"), ("saved_model", "export")]
)
def test_what_may_be_replaced(tmp_path, format, kind):
    _make(tmp_path / "m", kind)
    check_free(Target(FORMATS[format], tmp_path / "m"), overwrite=True)
    check_free(Target(FORMATS[format], tmp_path / "new"), overwrite=False)


def test_all_that_is_missing_is_told_with_one_pip_line():
    needs = {"torch": ["no_torch"], "onnx": ["json", "no_onnx"]}
    line = "flying needs no_torch, no_onnx, not installed here: pip install no_torch no_onnx"
    assert describe_missing("flying", needs) == line
    assert describe_missing("flying", {"onnx": ["json"]}) is None


def test_no_metadata_is_none():
    assert loads(None) == {}


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"other": 1}'])
def test_half_of_the_metadata_is_refused(text):
    with pytest.raises(ValueError, match=r"Expecting value|has no signature"):
        loads(text)


def test_versions_are_read_without_imports():
    assert set(versions(["keras", "unikeras", "nothing"])) == {"keras", "unikeras"}


def _report():
    done = ArtifactReport("onnx", "m.onnx", 2048, "tf2onnx", [1, 3, 8], 1e-7, seconds=1.5)
    done.remarks.append("one example at a time")
    done.passed_over.append(SkippedWriter("torch.onnx", "no <kernel>"))
    failed = ArtifactReport("torchscript", "m.pt", error="nothing worked")
    return ExportReport("mlp", "jax", [done, failed])


def test_a_report_is_data():
    data = json.loads(json.dumps(_report().to_dict()))
    assert data["artifacts"][0]["passed_over"] == [{"route": "torch.onnx", "reason": "no <kernel>"}]
    assert data["artifacts"][1]["error"] == "nothing worked"
    assert not _report().ok


def test_a_report_prints_as_a_table():
    text = str(_report())
    for word in (
        "export of mlp from jax",
        "tf2onnx",
        "2,048",
        "1, 3, 8",
        "1.0e-07",
        "torch.onnx",
        "one example at a time",
        "nothing worked",
    ):
        assert word in text


def test_a_report_is_saved_as_a_page_of_its_own(tmp_path):
    _report().save(tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "no &lt;kernel&gt;" in page
    assert "http" not in page
    _report().save(tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text()) == _report().to_dict()
    with pytest.raises(ArgumentValueError, match=r"saved as .html or .json; received .*r.pdf"):
        _report().save(tmp_path / "r.pdf")


def _caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("first\nsecond"), "ValueError: first"),
        (ValueError("\x1b[1mbold\x1b[0m"), "ValueError: bold"),
        (ValueError(), "ValueError: "),
        (ValueError("in user code:\n\n  File x\n\n  TypeError: why\n"), "ValueError: TypeError: why"),
        (RuntimeError("failed in the TorchScript interpreter.\nTraceback\nwhy"), "RuntimeError: why"),
        (ValueError("Exception encountered when calling Dense.call().\n\nwhy\n\nmore"), "ValueError: why"),
        (_caused(ValueError("a\nb"), KeyError("c")), "ValueError: a, because of KeyError: 'c'"),
        (WorkerDied("the worker died"), "the worker died"),
    ],
)
def test_an_error_is_cut_down_to_what_it_says(error, text):
    assert brief(error) == text


def test_an_output_is_called_as_the_axis_that_has_its_sizes():
    sizes = {"batch": (1, 3), "time": (4, 9), "other_time": (4, 9), "width": (8, 18)}
    spec = name_output("y", [(1, 8, 4, 7), (3, 18, 9, 7)], "float32", sizes)
    # Two inputs had the lengths of the third axis: which of them it follows is not known.
    assert (spec.shape, spec.axes) == ((None, None, None, 7), ("batch", "width", "y_2"))


def test_axes_are_named_by_rank_and_layout():
    image = TensorSpec("x", (None, 3, None, None), "float32")
    assert name_inputs([image], channels_first=True)[0].axes == ("batch", "height", "width")
    video = TensorSpec("x", (2, None, 8, 8, 3), "float32")
    assert name_inputs([video])[0].dynamic == {1: "time"}
    deep = TensorSpec("x", (None, None, 1, 1, 1, 1), "float32")
    assert name_inputs([deep])[0].dynamic == {0: "batch", 1: "x_1"}
    assert name_inputs([TensorSpec("x", (None, None), "float32")])[0].dynamic == {0: "batch", 1: "features"}


def test_height_and_width_differ_in_a_sample():
    image = TensorSpec("x", (None, None, None, 3), "float32")
    (first, *_), *others = _candidates([image])
    assert first.of(image) == (1, 1, 2, 3)
    assert [sizes[1].of(image)[1:3] for sizes in others[:2]] == [(16, 32), (64, 128)]
    assert others[-1][0].size_factor == 1


def test_lengths_tell_runs_of_one_batch_size_apart():
    fixed = TensorSpec("x", (5, None, 3), "float32")
    assert [one.of(fixed) for one in next(_candidates([fixed]))] == [(5, 1, 3), (5, 8, 3), (5, 13, 3)]
    assert [len(sizes) for sizes in _candidates([TensorSpec("x", (5, 3), "float32")])] == [1]


def test_text_is_made_of_words_that_a_model_knows():
    spec = TensorSpec("text", (None, 4), "string")
    drawn = sample(spec, 0, Sizes(50, 1), 0, ["red", "green"])
    assert (drawn.shape, drawn.dtype) == ((50, 4), object)
    assert set(drawn.flat) == {"red", "green", "", "unheard-of"}


def _flat(shape, dtype):
    return Signature((TensorSpec("x", shape, dtype),), (TensorSpec("y", (None,), "float32"),), [0], 0)


class _Layers:
    """A model of which only the layers are asked for."""

    def __init__(self, *layers):
        self._flatten_layers = lambda: layers


@pytest.mark.parametrize(
    ("dtype", "format", "message"),
    [
        ("string", "onnx", r"x: string \(None, 3\) is text, which only a saved_model takes; split the model"),
        ("complex64", "litert", "is complex, which litert is not; pass real and imaginary part as two"),
    ],
)
def test_what_a_format_cannot_hold_is_told(dtype, format, message):
    with pytest.raises(ExportError, match=message):
        check_can_hold(_Layers(), _flat((None, 3), dtype), format)
    check_can_hold(_Layers(), _flat((None, 3), dtype), "saved_model")


def test_a_table_is_told_by_its_layer():
    table = type("Hashing", (), {"name": "buckets"})()
    message = r"layer 'buckets' \(Hashing\) looks values up in a table, .*; split the model behind it"
    with pytest.raises(ExportError, match=message):
        check_can_hold(_Layers(table), _flat((None, 3), "int32"), "pt2")


def test_free_axes_come_with_the_way_to_fix_them():
    image = _flat((None, None, None, 3), "float32").inputs
    hint = axes_hint(Signature(tuple(name_inputs(image)), (), [0], 0, 16, 2))
    assert hint.startswith("dynamic axes are x: height, width; fix one with signature={'x': keras.InputSpec(")
    assert "shape=(None, 16, 16, 3), dtype='float32'" in hint
    assert axes_hint(_flat((None, 3), "float32")) == ""

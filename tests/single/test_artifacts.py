"""Loading artifacts: what is none is refused, and what others made is read."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import unikeras as uk
from unikeras._base.optional import is_installed
from unikeras.errors import (
    ArtifactNotFound,
    CorruptArtifact,
    MissingDependency,
    SignatureError,
    UnknownFormat,
    UnsafeArtifact,
)
from unikeras.export.readers import READERS, opening
from unikeras.export.readers.openvino_import import load_openvino
from unikeras.export.request.format_table import FORMATS
from unikeras.export.verify import known_artifacts
from unikeras.export.verify import trial as _trial

OFFERS = {row.format: row for row in uk.export_formats()}


def _path(folder, format):
    return folder / f"m{FORMATS[format].suffix}"


def _bytes_of(path):
    """The file whose bytes make the artifact."""
    return path / "saved_model.pb" if path.is_dir() else path


@pytest.fixture(scope="module", params=[name for name in FORMATS if OFFERS[name].available] or [None])
def exported(request, tmp_path_factory):
    """An artifact of each format that can be written here, or None where none can."""
    import keras

    if request.param is None:
        return None
    left, right = keras.Input((4,), name="right"), keras.Input((4,), name="left")
    model = keras.Model({"right": left, "left": right}, keras.layers.Dense(2, name="y")(left - right))
    path = _path(tmp_path_factory.mktemp("exported"), request.param)
    uk.export_model(model, path)
    return path


def _copy(exported, folder):
    path = folder / exported.name
    (shutil.copytree if exported.is_dir() else shutil.copy)(exported, path)
    if exported.with_suffix(".bin").exists():
        shutil.copy(exported.with_suffix(".bin"), folder)
    return path


@pytest.mark.parametrize("name", ["m.onnx", "m.pt", "m"])
def test_nothing_is_not_found(tmp_path, name):
    with pytest.raises(ArtifactNotFound, match=rf"there is nothing at .*{name}"):
        uk.load_artifact(tmp_path / name)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 300, b"not a model", np.random.default_rng(0).bytes(4096)]
)
def test_bytes_of_something_else_are_corrupt(tmp_path, format, content):
    path = _path(tmp_path, format)
    if FORMATS[format].is_folder:
        path.mkdir()
    _bytes_of(path).write_bytes(content)
    if READERS[format].missing():
        with pytest.raises(MissingDependency) as caught:
            uk.load_artifact(path)
        assert str(caught.value) == READERS[format].missing()
    else:
        with pytest.raises(CorruptArtifact, match=f"is not a readable {format} artifact: ."):
            uk.load_artifact(path)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_artifact_is_corrupt(tmp_path, exported, share):
    if exported is None:
        return
    path = _copy(exported, tmp_path)
    content = _bytes_of(path).read_bytes()
    _bytes_of(path).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CorruptArtifact, match="is not a readable"):
        uk.load_artifact(path)


def test_a_folder_that_lacks_its_weights_is_corrupt(tmp_path, exported):
    if exported is None or exported.is_file():
        return
    path = _copy(exported, tmp_path)
    shutil.rmtree(path / "variables")
    with pytest.raises(CorruptArtifact, match="is not a readable saved_model artifact"):
        uk.load_artifact(path)


def test_a_folder_whose_metadata_is_cut_is_corrupt(tmp_path, exported):
    """Its inputs would come in alphabetical order, and a list of them would be taken for each other."""
    if exported is None or exported.is_file():
        return
    path = _copy(exported, tmp_path)
    note = path / "assets.extra" / "unikeras.json"
    for content in (b"", note.read_bytes()[:-1]):
        note.write_bytes(content)
        with pytest.raises(CorruptArtifact, match="is not a readable saved_model artifact"):
            uk.load_artifact(path)


@pytest.mark.parametrize("suffix", [".onnx", ".pt", ".pt2", ".tflite", ".xml"])
def test_an_artifact_under_another_suffix_is_corrupt(tmp_path, exported, suffix):
    if exported is None or exported.suffix == suffix or READERS[_format(suffix)].missing():
        return
    path = tmp_path / f"m{suffix}"
    shutil.copy(_bytes_of(exported), path)
    with pytest.raises(CorruptArtifact, match=f"is not a readable {_format(suffix)} artifact"):
        uk.load_artifact(path)


def _format(suffix):
    return next(row.name for row in FORMATS.values() if row.suffix == suffix)


def test_a_file_without_a_suffix_is_no_saved_model(tmp_path):
    (tmp_path / "m").write_text("x")
    with pytest.raises(CorruptArtifact, match="is a file; a saved_model artifact is a folder"):
        uk.load_artifact(tmp_path / "m")


def test_a_suffix_without_a_runtime_is_unknown(tmp_path):
    (tmp_path / "m.h5").write_text("x")
    with pytest.raises(UnknownFormat, match="means no format"):
        uk.load_artifact(tmp_path / "m.h5")


def test_inputs_are_fitted_or_refused(exported):
    if exported is None:
        return
    artifact = uk.load_artifact(exported)
    left, right = np.arange(8.0).reshape(2, 4), np.ones((2, 4), "int64")
    expected = artifact.predict({"left": left.astype("float32"), "right": right.astype("float32")})
    np.testing.assert_array_equal(artifact.predict([right, left]), expected)
    np.testing.assert_array_equal(artifact.predict((right.tolist(), left.tolist())), expected)
    with pytest.raises(SignatureError, match=r"input left: float32 \(None, 4\) received shape \(2, 5\)"):
        artifact.predict([right, np.ones((2, 5))])
    with pytest.raises(SignatureError, match=r"input left: float32 \(None, 4\) received dtype complex128"):
        artifact.predict([right, left * 1j])
    with pytest.raises(SignatureError, match="expected the inputs right, left; received 1 of them"):
        artifact.predict([left])
    assert repr(artifact).startswith(f"<{artifact.format} artifact (right: float32 (None, 4)")


def _foreign_onnx(path):
    from onnx import TensorProto, helper, save

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in ("a", "b", "sum")]
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["sum"])], "g", values[:2], values[2:])
    opset = [helper.make_opsetid("", 18)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return "(a: float32 (None, 2), b: float32 (None, 2)) -> (sum: float32 (None, 2))", lambda y: y


def _foreign_torchscript(path):
    import torch

    traced = torch.jit.trace(lambda a, b: {"sum": a + b}, (torch.ones(1, 2),) * 2, strict=False)
    torch.jit.save(traced, str(path))
    return "(a: ? ?, b: ? ?) -> ()", lambda y: y["sum"]


def _foreign_saved_model(path):
    import tensorflow as tf

    module = tf.Module()
    specs = [tf.TensorSpec((None, 2), tf.float32, name=name) for name in ("a", "b")]
    module.add = tf.function(lambda a, b: {"sum": a + b}, input_signature=specs)
    tf.saved_model.save(module, str(path), signatures=module.add.get_concrete_function())
    return "(a: float32 (None, 2), b: float32 (None, 2)) -> (sum: float32 (None, 2))", lambda y: y


def _foreign_pt2(path):
    import torch

    class Add(torch.nn.Module):
        def forward(self, a, b):
            return {"sum": a + b}

    dynamic = {0: torch.export.Dim("n")}
    program = torch.export.export(
        Add(), (torch.ones(5, 2), torch.ones(5, 2)), dynamic_shapes=(dynamic, dynamic)
    )
    torch.export.save(program, path)
    return "(a: float32 (None, 2), b: float32 (None, 2)) -> ()", lambda y: y["sum"]


def _foreign_litert(path):
    import tensorflow as tf

    module = tf.Module()
    specs = [tf.TensorSpec((None, 2), tf.float32, name=name) for name in ("a", "b")]
    module.add = tf.function(lambda a, b: {"sum": a + b}, input_signature=specs)
    function = module.add.get_concrete_function()
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([function], module).convert())
    return "(a: float32 (None, 2), b: float32 (None, 2)) -> (sum: float32 (None, 2))", lambda y: y


def _foreign_openvino(path):
    openvino = load_openvino()
    from openvino import opset13

    a, b = (opset13.parameter([-1, 2], np.float32, name) for name in "ab")
    for port, name in ((a, "a"), (b, "b")):
        port.output(0).set_names({name})
    total = opset13.add(a, b)
    total.output(0).set_names({"sum"})
    openvino.save_model(openvino.Model([opset13.result(total)], [a, b]), path)
    return "(a: float32 (None, 2), b: float32 (None, 2)) -> (sum: float32 (None, 2))", lambda y: y


FOREIGN = {
    "onnx": _foreign_onnx,
    "torchscript": _foreign_torchscript,
    "saved_model": _foreign_saved_model,
    "pt2": _foreign_pt2,
    "litert": _foreign_litert,
    "openvino": _foreign_openvino,
}
WRITES_FOREIGN = {"litert": "tensorflow"}  # a module that the test needs beside the runtime


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("format", FORMATS)
def test_what_others_made_is_read(tmp_path, format):
    path = _path(tmp_path, format)
    if not is_installed(WRITES_FOREIGN.get(format, "numpy")):
        return
    if READERS[format].missing():
        path.mkdir() if FORMATS[format].is_folder else path.write_text("x")
        with pytest.raises(MissingDependency) as caught:
            uk.load_artifact(path)
        assert str(caught.value) == READERS[format].missing()
        return
    expected, result = FOREIGN[format](path)
    if READERS[format].runs_code:
        with pytest.raises(UnsafeArtifact, match=r"opening one runs its code.* trust=True"):
            uk.load_artifact(path)
    artifact = uk.load_artifact(path, trust=READERS[format].runs_code)
    assert (str(artifact.signature), artifact.metadata, artifact.format) == (expected, {}, format)
    a, b = np.ones((3, 2), "float32"), np.full((3, 2), 2, "float32")
    np.testing.assert_array_equal(result(artifact.predict({"b": b, "a": a})), a + b)


def test_a_file_that_crashes_its_runtime_crashes_a_child(tmp_path, exported, monkeypatch):
    if exported is None:
        return
    code = "import os, signal, sys; sys.stdin.readline(); os.kill(os.getpid(), signal.SIGSEGV) #"
    monkeypatch.setattr(
        _trial, "_BOOT", f"import os\nos.write(int(__import__('sys').argv[1]), b'{{}}\\n')\n{code}"
    )
    monkeypatch.setattr(known_artifacts.harmless, "known", set())
    monkeypatch.setenv("UNIKERAS_CACHE", str(tmp_path / "cache"))
    with pytest.raises(CorruptArtifact, match=r"it crashes its runtime .*SIGSEGV"):
        uk.load_artifact(exported)


def test_a_child_looks_at_a_file_once(tmp_path, exported, monkeypatch):
    if exported is None:
        return
    looked = []
    monkeypatch.setattr(opening, "_try", lambda copy, runtime: looked.append(copy.origin))
    uk.load_artifact(exported)
    assert looked == []  # verified when it was exported
    monkeypatch.setattr(known_artifacts.harmless, "known", set())
    monkeypatch.setenv("UNIKERAS_CACHE", str(tmp_path / "cache"))
    uk.load_artifact(exported)
    monkeypatch.setattr(known_artifacts.harmless, "known", set())  # a later process
    uk.load_artifact(exported)
    assert looked == [exported]


def test_a_cache_that_cannot_be_written_to_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("UNIKERAS_CACHE", str(tmp_path / "file" / "cache"))
    known_artifacts.harmless.add("1" * 64)
    assert "1" * 64 in known_artifacts.harmless
    monkeypatch.setattr(known_artifacts.harmless, "known", set())
    assert "1" * 64 not in known_artifacts.harmless


def test_the_digest_is_of_every_file(tmp_path):
    (tmp_path / "m.xml").write_text("graph")
    (tmp_path / "m.bin").write_text("weights")
    before = known_artifacts.digest_of(tmp_path / "m.xml", ".bin")
    (tmp_path / "m.bin").write_text("other")
    assert known_artifacts.digest_of(tmp_path / "m.xml", ".bin") != before
    folder = tmp_path / "saved"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "a").write_text("1")
    before = known_artifacts.digest_of(folder)
    (folder / "inner" / "a").rename(folder / "inner" / "b")
    assert known_artifacts.digest_of(folder) != before


@pytest.mark.skipif(READERS["openvino"].missing() is not None, reason="openvino is not installed")
def test_openvino_sends_no_statistics(run_script):
    output = run_script(
        """
        import os, sys
        os.register_at_fork(before=lambda: print("forked"))
        from unikeras.export.readers.openvino_import import load_openvino
        print(load_openvino().Core().available_devices)
        print(sorted(name for name in sys.modules if "telemetry" in name and "stub" not in name))
        """
    )
    assert "forked" not in output
    assert "openvino_telemetry" not in output

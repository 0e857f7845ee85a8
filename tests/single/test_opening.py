"""Files from elsewhere: what can run code needs trust, what crashes, hangs or swells does so in a child."""

from __future__ import annotations

import json
import os
import zipfile

import numpy as np
import pytest
from click.testing import CliRunner

import unikeras as uk
from unikeras._base.printable import printable
from unikeras.cli import commands
from unikeras.errors import (
    ArgumentError,
    ArgumentValueError,
    ArtifactError,
    ArtifactNotFound,
    CorruptArtifact,
    UnsafeArtifact,
)
from unikeras.export.readers import READERS, _keras_file, _operators, _wire, opening
from unikeras.export.readers._pt2_text import is_condition, is_expression
from unikeras.export.verify import bounds as _bounds
from unikeras.export.verify import known_artifacts
from unikeras.export.verify import trial as _trial

needs_torch = pytest.mark.skipif(READERS["torchscript"].missing() is not None, reason="no torch here")
needs_onnx = pytest.mark.skipif(READERS["onnx"].missing() is not None, reason="no onnxruntime here")
onnx_writer = (
    pytest.importorskip("onnx", reason="the tests write ONNX files")
    if not READERS["onnx"].missing()
    else None
)


def _inspect(*arguments):
    return CliRunner().invoke(commands, ["inspect", *map(str, arguments)])


@pytest.fixture
def state(tmp_path, monkeypatch):
    """A state folder and a cache of the test's own, and no memory of earlier tests."""
    monkeypatch.setenv("UNIKERAS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("UNIKERAS_CACHE", str(tmp_path / "cache"))
    for record in (known_artifacts.written, known_artifacts.harmless):
        monkeypatch.setattr(record, "known", set())
    return tmp_path / "state" / "written"


def _onnx(path, nodes, *, initializers=(), outputs=None, shape=("b", 4), **options):
    from onnx import TensorProto, helper

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, outputs)
    graph = helper.make_graph(nodes, "g", [x], [y], list(initializers))
    opsets = options.pop("opset_imports", [helper.make_opsetid("", 17)])
    metadata = options.pop("metadata", None)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9, **options)
    if metadata is not None:
        row = model.metadata_props.add()
        row.key, row.value = "unikeras", metadata
    path.write_bytes(model.SerializeToString())
    return path


def _node(kind, *arguments, **options):
    from onnx import helper

    return helper.make_node(kind, *arguments, **options)


def _initializer(value, name):
    from onnx import numpy_helper

    return numpy_helper.from_array(np.asarray(value), name)


# What runs code.


def _script(folder, victim):
    import torch

    module = torch.jit.ScriptModule()
    module.define(f"""
        def forward(self, x: Tensor) -> Tensor:
            y = torch.from_file("{victim}", True, 4)
            return y.fill_(0.0) + x
    """)
    torch.jit.save(module, str(folder / "m.pt"))
    return folder / "m.pt"


@needs_torch
@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_code_from_elsewhere_runs_only_with_trust(tmp_path, state):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious" * 4)
    path = _script(tmp_path, victim)
    with pytest.raises(UnsafeArtifact, match=r"its code, which can write any file .* trust=True \(--trust"):
        uk.load_artifact(path)
    shown = _inspect(path)
    assert shown.exit_code == 0
    assert "not opened" in shown.output
    assert "aten::from_file" in shown.output
    assert json.loads(_inspect(path, "--json").output)["file_operators"] == ["aten::from_file"]
    assert victim.read_bytes() == b"precious" * 4
    assert uk.load_artifact(path, trust=True).format == "torchscript"
    assert victim.read_bytes() != b"precious" * 4  # which is why


@needs_torch
@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_what_this_installation_wrote_is_opened(tmp_path, state, monkeypatch):
    import torch

    path = tmp_path / "m.pt"
    torch.jit.save(torch.jit.trace(lambda x: x + 1, torch.ones(2)), str(path))
    digest = known_artifacts.digest_of(path)
    known_artifacts.written.add(digest)
    assert (state / digest).stat().st_mode & 0o777 == 0o600
    assert state.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(known_artifacts.written, "known", set())  # a later process
    np.testing.assert_array_equal(uk.load_artifact(path).predict(np.zeros(2, "float32")), [1, 1])
    state.chmod(0o777)  # others may have put the digest there
    with pytest.raises(UnsafeArtifact, match="can be written to by others"):
        uk.load_artifact(path)
    state.chmod(0o700)
    (state / digest).unlink()
    (state / digest).symlink_to(path)
    with pytest.raises(UnsafeArtifact):
        uk.load_artifact(path)


def test_a_state_folder_that_cannot_be_used_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("UNIKERAS_STATE", str(tmp_path / "file" / "state"))
    monkeypatch.setattr(known_artifacts.written, "known", set())
    known_artifacts.written.add("0" * 64)
    assert "0" * 64 in known_artifacts.written  # this process still knows
    assert "file" in known_artifacts.written.problem()
    monkeypatch.setattr(known_artifacts.written, "known", set())
    assert "0" * 64 not in known_artifacts.written


def _field(number, content):
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


def test_the_operators_of_a_saved_model_are_read_without_it():
    node = _field(1, _field(2, b"WriteFile"))
    function = _field(2, _field(1, _field(3, _field(2, b"EagerPyFunc"))))
    content = _field(2, _field(2, node + function))
    assert list(_operators.tensorflow_operators(content)) == ["WriteFile", "EagerPyFunc"]
    for broken in (content[:-1], b"\x0b", b"\xff" * 12, b""):
        with pytest.raises(ValueError):  # noqa: PT011 (each says what it is)
            list(_operators.tensorflow_operators(broken))


@pytest.mark.parametrize("name", ["WriteFile", "ReadFile", "MatchingFiles", "PyFunc", "TFRecordDatasetV2"])
def test_operators_that_touch_files_are_known_by_name(name):
    assert _operators.TENSORFLOW_FILES.fullmatch(name)
    assert not any(
        map(_operators.TENSORFLOW_FILES.fullmatch, ["MatMul", "RestoreV2", "SaveV2", "TensorDataset"])
    )


def test_a_message_nested_too_deeply_is_refused():
    with pytest.raises(ValueError, match="nested more than"):
        _wire.check_depth(64)


@needs_onnx
def test_operators_of_others_need_trust(tmp_path):
    from onnx import helper

    domain = [helper.make_opsetid("", 17), helper.make_opsetid("some.body", 1)]
    call = _node("Twice", ["x"], ["y"], domain="some.body")
    path = _onnx(tmp_path / "m.onnx", [call], opset_imports=domain)
    with pytest.raises(UnsafeArtifact, match=r"'Twice' of domain 'some.body'.* trust=True"):
        uk.load_artifact(path)
    with pytest.raises(CorruptArtifact):  # trusted, and still unknown to ONNX Runtime
        uk.load_artifact(path, trust=True)
    body = [_node("Add", ["a", "a"], ["b"])]
    own = helper.make_function("some.body", "Twice", ["a"], ["b"], body, domain[:1])
    path = _onnx(tmp_path / "own.onnx", [call], opset_imports=domain, functions=[own])
    np.testing.assert_array_equal(uk.load_artifact(path).predict(np.ones((1, 4), "float32")), [[2] * 4])


def test_an_extension_of_openvino_needs_trust(tmp_path):
    path = tmp_path / "m.xml"
    path.write_text('<net><layers><layer type="Mine" version="extension"/></layers></net>')
    with pytest.raises(_operators.Refused, match="'Mine' of operator set 'extension'"):
        _operators.check_openvino(path)
    path.write_text('<!DOCTYPE net [<!ENTITY a "aaaa">]><net>&a;</net>')
    with pytest.raises(ValueError, match="document type"):
        _operators.check_openvino(path)
    path.write_text('<net><layers><layer type="Relu" version="opset1"/></layers></net>')
    _operators.check_openvino(path)


# What crashes, hangs or swells.


def _endless(path):
    from onnx import TensorProto, helper

    def value(name, kind, shape):
        return helper.make_tensor_value_info(name, kind, shape)

    body = helper.make_graph(
        [_node("Identity", ["go"], ["on"]), _node("Identity", ["v"], ["w"])],
        "body",
        [
            value("i", TensorProto.INT64, []),
            value("go", TensorProto.BOOL, []),
            value("v", TensorProto.FLOAT, None),
        ],
        [value("on", TensorProto.BOOL, []), value("w", TensorProto.FLOAT, None)],
    )
    loop = _node("Loop", ["most", "true", "x"], ["y"], body=body)
    return _onnx(path, [loop], initializers=[_initializer(2**62, "most"), _initializer(True, "true")])


def _large(path):
    sizes = _initializer([2**13, 2**16, 4], "sizes")
    return _onnx(path, [_node("Expand", ["x", "sizes"], ["y"])], initializers=[sizes], shape=(1, 4))


@needs_onnx
@pytest.mark.parametrize(
    ("write", "variable", "value", "says"),
    [
        (
            _endless,
            "SECONDS",
            "1",
            "could not be opened and run within 1 s; UNIKERAS_OPEN_LIMIT_SECONDS raises",
        ),
        (_large, "MEMORY", "2e8", "more than 191 MiB of memory; UNIKERAS_OPEN_LIMIT_MEMORY raises"),
    ],
)
def test_a_file_that_asks_for_too_much_is_refused(tmp_path, monkeypatch, write, variable, value, says):
    monkeypatch.setenv(f"UNIKERAS_OPEN_LIMIT_{variable}", value)
    before = _trial.resident(os.getpid())
    with pytest.raises(CorruptArtifact, match=says):
        uk.load_artifact(write(tmp_path / "m.onnx"))
    assert _trial.resident(os.getpid()) - before < 2**28


def test_a_bound_that_is_no_number_is_told(monkeypatch):
    for text in ("many", "0", "-1", "nan", "inf"):
        monkeypatch.setenv("UNIKERAS_OPEN_LIMIT_MEMORY", text)
        with pytest.raises(ArgumentValueError, match="UNIKERAS_OPEN_LIMIT_MEMORY must be a number above 0"):
            _bounds.Bounds.from_environment()


@needs_onnx
def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.onnx")
    (tmp_path / "zero.onnx").symlink_to("/dev/zero")
    for name, kind in (("pipe", "a pipe"), ("zero", "a device")):
        with pytest.raises(CorruptArtifact, match=f"{kind}, not a regular file"):
            uk.load_artifact(tmp_path / f"{name}.onnx")
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(CorruptArtifact, match="it is empty"):
        uk.load_artifact(tmp_path / "empty.onnx")


@needs_onnx
def test_what_is_loaded_is_what_was_looked_at(tmp_path, monkeypatch, state):
    good = _onnx(tmp_path / "good.onnx", [_node("Abs", ["x"], ["y"])])
    other = _onnx(tmp_path / "other.onnx", [_node("Neg", ["x"], ["y"])])
    looked = opening._try

    def swap(*arguments):
        looked(*arguments)
        other.replace(good)

    monkeypatch.setattr(opening, "_try", swap)
    assert uk.load_artifact(good).predict(np.ones((1, 4), "float32"))[0, 0] == 1
    assert known_artifacts.digest_of(good) not in known_artifacts.harmless


def _with_weights(path, place):
    """Write a file whose weights stand elsewhere."""
    from onnx import TensorProto

    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    row = weights.external_data.add()
    row.key, row.value = "location", place
    return _onnx(path, [_node("Add", ["x", "w"], ["y"])], initializers=[weights])


@needs_onnx
def test_external_weights_come_from_the_files_folder_alone(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    secret = tmp_path / "secret"
    secret.write_bytes(np.arange(4, dtype="float32").tobytes())
    x = np.zeros((1, 4), "float32")
    for place in ("../secret", str(secret)):
        with pytest.raises(UnsafeArtifact, match="outside its folder"):
            uk.load_artifact(_with_weights(folder / "m.onnx", place))
    path = _with_weights(folder / "m.onnx", "w.bin")
    for link, reason in ((os.symlink, "link that leaves"), (os.link, "hard link")):
        link(secret, folder / "w.bin")
        with pytest.raises(UnsafeArtifact, match=reason):
            uk.load_artifact(path)
        (folder / "w.bin").unlink()
    with pytest.raises(CorruptArtifact, match="lacks"):
        uk.load_artifact(path)
    (folder / "w.bin").write_bytes(secret.read_bytes())
    np.testing.assert_array_equal(uk.load_artifact(path).predict(x), [[0, 1, 2, 3]])


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A small saved Keras model's parts, by name."""
    import keras

    path = tmp_path_factory.mktemp("saved") / "m.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _zip(path, parts):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def test_a_keras_file_that_asks_for_too_much_is_refused(tmp_path, saved, here, monkeypatch):
    config = json.loads(saved["config.json"])
    config["config"]["layers"][1]["config"]["units"] = 10**8
    path = _zip(tmp_path / "m.keras", {**saved, "config.json": json.dumps(config)})
    monkeypatch.setenv("UNIKERAS_OPEN_LIMIT_MEMORY", "2e8")
    before = _trial.resident(os.getpid())
    with pytest.raises(CorruptArtifact, match="UNIKERAS_OPEN_LIMIT_MEMORY raises"):
        _keras_file.load_keras(path, here)
    assert _trial.resident(os.getpid()) - before < 2**28
    text = {**saved, "config.json": b" " * 2**21 + saved["config.json"]}
    bounds = _bounds.Bounds(text=2**20)
    with pytest.raises(ValueError, match=r"config.json has .* bytes"):
        _keras_file.check_archive(_zip(tmp_path / "blanks.keras", text), bounds)


# What a file says of itself.


def _metadata(**edit):
    spec = {"shape": [None, 4], "dtype": "float32", "axes": ["batch"]}
    said = {
        "inputs": [{"name": "x", **spec}],
        "outputs": [{"name": "y", **spec}],
        "arguments": [0],
        "results": 0,
    }
    memory = edit.pop("memory", None)
    for key, value in edit.items():
        (said if key in said or key in ("length", "stretch") else said["inputs"][0])[key] = value
    return json.dumps({"signature": said, "memory": memory} if memory else {"signature": said})


LIES = {
    "dtype": {"dtype": "int32"},
    "no dtype": {"dtype": "object"},
    "shape": {"shape": [None, 5]},
    "rank": {"shape": [None]},
    "a size below zero": {"shape": [None, -4]},
    "name": {"name": "z"},
    "escape": {"name": "\x1b]0;owned\x07"},
    "axes": {"axes": ["batch", "time"]},
    "results": {"results": 1},
    "arguments": {"arguments": [0, 0]},
    "inputs": {"inputs": []},
    "length": {"length": 10**15},
    "memory": {"memory": {"states": [], "fingerprint": 5}},
    "no signature": None,
}


@needs_onnx
@pytest.mark.parametrize("lie", LIES)
def test_metadata_does_not_beat_the_runtime(tmp_path, lie):
    edit = LIES[lie]
    note = "{}" if edit is None else _metadata(**edit)
    path = _onnx(tmp_path / "m.onnx", [_node("Relu", ["x"], ["y"])], outputs=["b", 4], metadata=note)
    with pytest.raises(CorruptArtifact) as caught:
        opening._open(path, READERS["onnx"])
    assert str(caught.value).isprintable()


@needs_onnx
def test_honest_metadata_is_taken(tmp_path):
    path = _onnx(tmp_path / "m.onnx", [_node("Relu", ["x"], ["y"])], outputs=["b", 4], metadata=_metadata())
    artifact = uk.load_artifact(path)
    assert artifact.signature.inputs[0].dynamic == {0: "batch"}


@needs_onnx
def test_names_of_a_file_do_not_reach_the_terminal_as_they_are(tmp_path):
    from onnx import TensorProto, helper

    name = "\x1b[2J[/red]\u202e"
    x = helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    model = helper.make_model(
        helper.make_graph([_node("Relu", [name], ["y"])], "g", [x], [y]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    shown = _inspect(tmp_path / "m.onnx")
    assert shown.exit_code == 0
    assert "\x1b[2J" not in shown.output
    assert "\u202e" not in shown.output
    assert "[/red]" in shown.output
    assert printable("a\tb\x9b\n") == "a\tb\\x9b\n"


@needs_onnx
def test_a_runtime_that_fails_has_a_name(tmp_path):
    times = _initializer([2**40, 1], "times")
    path = _onnx(tmp_path / "m.onnx", [_node("Tile", ["x", "times"], ["y"])], initializers=[times])
    artifact = uk.load_artifact(path)  # its inputs may be what made it fail
    with pytest.raises(ArtifactError, match=r"the onnx runtime failed on x \(1, 4\): ."):
        artifact.predict(np.ones((1, 4), "float32"))
    assert issubclass(ArtifactError, RuntimeError)


def test_a_path_that_cannot_be_one_is_told():
    with pytest.raises(ArtifactNotFound, match="name too long"):
        uk.load_artifact("x" * 300)
    with pytest.raises(ArtifactNotFound, match="null"):
        uk.load_artifact("a\0b.onnx")
    for path in (5, None, b"m.onnx", ["m.onnx"]):
        with pytest.raises(ArgumentError, match="path"):
            uk.load_artifact(path)
    with pytest.raises(ArgumentError, match="trust must be True or False"):
        uk.load_artifact("m.onnx", trust="yes")
    shown = _inspect("x" * 300)
    assert shown.exit_code == 1
    assert "there is nothing at" in shown.output + shown.stderr


def test_texts_of_an_archive_stay_small_when_they_are_evaluated():
    for text in (
        "9**9**9 < 1",
        "1 << 99999999 > 0",
        "'a' * 99999999 < 1",
        "1" * 60 + " < x",
        "(" * 9999,
        "2**65 < 1",
    ):
        assert not is_condition(text)
    assert is_condition("L['x'].size()[0]**2 != 4 and not L['y'][0].size()[1] % 2 == 1")
    for text in (
        "Pow(Integer(10), Integer(1000000000))",
        "Pow(Pow(Integer(9), Integer(60)), Integer(60))",
        "Pow(Integer(2), Symbol('s0'))",
    ):
        assert not is_expression(text)
    assert is_expression("Add(Pow(Symbol('s0'), Integer(2)), Integer(-1))")

"""`unikeras export`, `inspect` and `formats`: what they print, write and refuse."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

import unikeras as uk
from unikeras import cli

OFFERS = {row.format: row for row in uk.export_formats()}
WRITABLE = next((row for row in OFFERS.values() if row.available), None)
MISSING = next((row for row in OFFERS.values() if not row.available), None)
needs_a_format = pytest.mark.skipif(
    WRITABLE is None, reason="no format can be written with this backend alone"
)


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(
        cli.commands, list(map(str, arguments)), prog_name="unikeras"
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A saved model: tokens of dynamic length in, a score out."""
    import keras
    from keras import layers

    tokens = keras.Input((None,), dtype="int32", name="tokens")
    pooled = layers.GlobalAveragePooling1D()(layers.Embedding(9, 4)(tokens))
    path = tmp_path_factory.mktemp("saved") / "reader.keras"
    keras.Model(tokens, layers.Dense(2, name="score")(pooled), name="other").save(path)
    return path


def test_formats_lists_what_is_here_and_how_to_get_the_rest(run):
    rows = json.loads(run("formats", "--json").stdout)
    assert [row["format"] for row in rows] == list(OFFERS)
    table = run("formats").stdout
    for row in OFFERS.values():
        assert row.format in table
        assert (row.routes[0].split()[0] if row.available else "pip") in table


def test_formats_imports_no_framework():
    code = (
        "import sys; from unikeras.cli import commands\n"
        "commands(['formats'], standalone_mode=False)\n"
        "print([name for name in ('keras', 'tensorflow', 'torch', 'jax', 'onnx') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.endswith("[]\n")


@needs_a_format
def test_export_writes_what_inspect_shows(run, saved, tmp_path):
    result = run("export", saved, "--to", WRITABLE.format, "--out", tmp_path, "--report", tmp_path / "r.html")
    assert result.exit_code == 0, result.output
    assert "export of reader from" in result.stdout
    assert "<table>" in (tmp_path / "r.html").read_text()
    path = tmp_path / f"reader{WRITABLE.suffix}"
    shown = run("inspect", path)
    assert shown.exit_code == 0, shown.output
    for text in (
        "tokens",
        "int32",
        "(batch, time)",
        "score",
        "(batch, 2)",
        "weights_sha256",
        WRITABLE.format,
    ):
        assert text in shown.stdout
    data = json.loads(run("inspect", path, "--json").stdout)
    assert data["inputs"][0] | {"axes": None} == {
        "name": "tokens", "shape": [None, None], "dtype": "int32", "axes": None
    }  # fmt: skip
    assert data["bytes"] == sum(data["files"].values()) > 0
    assert len(data["metadata"]["config_sha256"]) == 64


@needs_a_format
def test_export_keeps_what_is_there(run, saved, tmp_path):
    arguments = ("export", saved, "--to", WRITABLE.format, "--out", tmp_path, "--no-verify", "--json")
    first = json.loads(run(*arguments).stdout)
    assert first["artifacts"][0]["verified_at"] == []
    again = run(*arguments)
    assert again.exit_code == 2
    assert "pass overwrite=True" in again.stderr
    assert run(*arguments, "--overwrite").exit_code == 0


@needs_a_format
def test_a_format_that_fails_is_told_and_the_report_is_there(run, saved, tmp_path, monkeypatch):
    def fail(self, model, path, order):
        raise ValueError("no such operator")

    from unikeras.export._offers import usable_writers
    from unikeras.export.writers import Writer

    routes = usable_writers(WRITABLE.format, uk.backend(), verify=True)
    for kind in {type(route) for route in routes}:
        assert issubclass(kind, Writer)
        monkeypatch.setattr(kind, "write", fail)
    result = run("export", saved, "--to", WRITABLE.format, "--out", tmp_path, "--report", tmp_path / "r.json")
    assert result.exit_code == 1
    assert "no such operator" in result.stderr
    assert json.loads((tmp_path / "r.json").read_text())["artifacts"][0]["error"]


@pytest.mark.parametrize(
    ("name", "to", "message"),
    [
        ("reader.keras", "h5", "unknown format 'h5'"),
        ("reader.onnx", "saved_model", "is no saved Keras model"),
        ("broken.keras", "saved_model", "could not be loaded"),
    ],
)
def test_wrong_use_of_export_is_told(run, saved, tmp_path, monkeypatch, name, to, message):
    (tmp_path / name).write_bytes(b"not a model" if name == "broken.keras" else saved.read_bytes())
    monkeypatch.setattr("unikeras.export._offers.usable_writers", lambda format, backend, verify: [])
    result = run("export", tmp_path / name, "--to", to)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.skipif(MISSING is None, reason="every format can be written here")
def test_a_missing_toolchain_is_told_before_the_model_is_loaded(run, tmp_path):
    (tmp_path / "m.keras").write_text("not looked at")
    result = run("export", tmp_path / "m.keras", "--to", MISSING.format)
    assert result.exit_code == 2
    assert "not installed here: pip install " in result.stderr


def test_inspect_of_nothing_and_of_what_others_made(run, tmp_path):
    result = run("inspect", tmp_path / "m.onnx")
    assert result.exit_code == 1
    assert "there is nothing at" in result.stderr
    if not OFFERS["onnx"].available:
        return
    from onnx import TensorProto, helper, save

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in ("a", "b")]
    graph = helper.make_graph([helper.make_node("Neg", ["a"], ["b"])], "g", values[:1], values[1:])
    opset = [helper.make_opsetid("", 18)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "m.onnx")
    shown = run("inspect", tmp_path / "m.onnx").stdout
    assert "(?, 2)" in shown
    assert "no metadata: unikeras did not write it" in shown
    assert uk.load_artifact(tmp_path / "m.onnx").predict(np.ones((1, 2), "float32")).tolist() == [[-1, -1]]

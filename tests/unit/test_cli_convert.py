"""`unikeras convert`: what it prints, writes and refuses."""

from __future__ import annotations

import json
import sys

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras import layers
from safetensors.numpy import save_file

import unikeras as uk
from unikeras import cli


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(
        cli.commands, ["convert", *map(str, arguments)], prog_name="unikeras"
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A saved model; one for all tests, because a file that is new is first opened in a child."""
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    parts = [layers.Dense(4, name="first"), layers.Dense(2, name="head")]
    keras.Sequential([keras.Input((3,)), *parts], name="net").save(path)
    return path


@pytest.fixture
def files(saved, tmp_path):
    """A file of weights, the saved model, and where to save the result."""
    rng = np.random.default_rng(0)
    shapes = {"0.weight": (4, 3), "0.bias": (4,), "fc.weight": (2, 4), "fc.bias": (2,)}
    state = {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    save_file(state, tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors", saved, tmp_path / "trained.keras", state


def test_weights_go_into_the_model(run, files):
    weights, into, out, state = files
    done = run(weights, "--into", into, "--out", out, "--map", "fc=head", "--json")
    assert done.exit_code == 0, done.output
    rows = {row["layer"]: (row["module"], row["how"]) for row in json.loads(done.stdout)["rows"]}
    assert rows == {"first": ("0", "shape"), "head": ("fc", "mapping")}
    model = keras.saving.load_model(out)
    assert model.name == "net"
    np.testing.assert_array_equal(model.get_weights()[0], state["0.weight"].T)
    again = run(weights, "--into", into, "--out", out)
    assert again.exit_code == 2
    assert "--overwrite" in again.output
    table = run(weights, "--into", into, "--out", out, "--overwrite", "--map", "fc=", "--no-strict")
    assert table.exit_code == 0
    assert "left in the model: head" in table.output


def test_what_does_not_fit_is_an_error_and_nothing_is_written(run, files):
    weights, into, out, state = files
    save_file({"0.weight": state["0.weight"]}, weights)
    done = run(weights, "--into", into, "--out", out)
    assert done.exit_code == 1
    assert "nothing fits head" in done.output
    assert not out.exists()
    for arguments, message in (
        (("--out", out, "--map", "fc"), "--map takes MODULE=LAYER"),
        (("--out", out.with_suffix(".h5")), "must end in .keras"),
    ):
        done = run(weights, "--into", into, *arguments)
        assert done.exit_code == 2
        assert message in done.output


def test_verification_with_the_module(run, files, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    weights, into, out, _ = files
    (tmp_path / "of_torch.py").write_text(
        "from torch import nn\nfrom safetensors.torch import load_file\n"
        "def build(bend=nn.Identity):\n"
        "    net = nn.Sequential()\n"
        "    net.add_module('0', nn.Linear(3, 4))\n"
        "    net.add_module('bend', bend())\n"
        "    net.add_module('fc', nn.Linear(4, 2))\n"
        f"    net.load_state_dict(load_file({str(weights)!r}))\n"
        "    return net\n"
        "def bent():\n    return build(nn.Tanh)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    done = run(weights, "--into", into, "--out", out, "--verify", "of_torch:build", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["parity"]["equal"]
    done = run(weights, "--into", into, "--out", out, "--verify", "of_torch:bent", "--overwrite")
    assert done.exit_code == 1
    assert "different: " in done.output


@pytest.fixture
def builders(tmp_path, monkeypatch):
    (tmp_path / "builders.py").write_text(
        "import torch\n"
        "class Words(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.table = torch.nn.Embedding(10, 4)\n"
        "    def forward(self, ids):\n"
        "        return self.table(ids)\n"
        "def no_module():\n    return 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "builders:Words"
    sys.modules.pop("builders", None)


def test_a_module_is_exported(run, builders, tmp_path):
    pytest.importorskip("torch")
    here = {"jax": "saved_model", "tensorflow": "saved_model", "torch": "torchscript"}
    format = here[keras.backend.backend()]  # one that needs no process of another backend
    if not next(row for row in uk.export_formats() if row.format == format).available:
        pytest.skip(f"{format} cannot be written here")
    arguments = ("--example", "1,16:int64", "--dynamic", "0:batch,1:length", "--to", format, "--no-verify")
    done = run(builders, *arguments, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "Words: 1 operators of 1 kind" in done.output
    assert "Keras records no dtypes" not in done.output
    (artifact,) = (tmp_path / "out").glob("words*")
    ids = np.arange(10, dtype="int64").reshape(2, 5)
    assert np.asarray(uk.load_artifact(artifact).predict(ids)).shape == (2, 5, 4)
    again = run(builders, *arguments, "--out", tmp_path / "out", "--json")
    assert again.exit_code == 2
    assert "overwrite" in again.output


def test_a_module_that_cannot_be_converted_is_one_error(run, builders, tmp_path, monkeypatch):
    out = tmp_path / "out"
    for arguments, message in (
        ((builders, "--to", "onnx"), "needs --example"),
        ((builders, "--example", "1,x", "--to", "onnx"), "--example takes sizes"),
        ((builders, "--example", "1,3", "--into", __file__), "--into is for weights"),
        ((builders, "--example", "1,3", "--to", "onnx", "--dynamic", "2:length"), "--dynamic takes axes"),
    ):
        done = run(*arguments, "--out", out)
        assert done.exit_code == 2
        assert message in done.output
    monkeypatch.setattr("unikeras._base.optional.is_installed", lambda name: name != "torch")
    done = run(builders, "--example", "1,3", "--to", "saved_model", "--out", out, "--no-verify")
    assert done.exit_code == 2
    assert "torch" in done.output.splitlines()[0]
    assert "pip install" in done.output
    assert not out.exists()

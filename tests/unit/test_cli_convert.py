"""`unikeras convert`: what it prints, writes and refuses."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras import layers
from safetensors.numpy import save_file

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

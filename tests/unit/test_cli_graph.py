"""unikeras graph: the layers of a saved model, and what a step of it runs."""

from __future__ import annotations

import json

import keras
import pytest
from click.testing import CliRunner

from unikeras.cli import commands

pytestmark = pytest.mark.usefixtures("backend")


@pytest.fixture
def saved(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="dense")])
    model.compile("sgd", "mse")
    model.save(tmp_path / "model.keras")
    return str(tmp_path / "model.keras")


def run(*arguments):
    return CliRunner().invoke(commands, ["graph", *arguments], prog_name="unikeras")


def test_layers_are_text(saved):
    result = run(saved)
    assert result.exit_code == 0, result.output
    assert "dense: float32 (?, 2)" in result.output


def test_a_step_is_written_as_a_page(saved, tmp_path):
    out = tmp_path / "graph.html"
    result = run(saved, "--step", "train", "--out", str(out))
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [f"written: {out}"]
    assert "dense/kernel" in out.read_text()


def test_json_is_one_object(saved):
    result = run(saved, "--step", "predict", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {node["kind"] for node in found["nodes"]} >= {"input", "output", "variable", "operation"}


def test_another_suffix_is_refused(saved, tmp_path):
    result = run(saved, "--out", str(tmp_path / "graph.png"))
    assert result.exit_code != 0
    assert ".html, .svg, .txt, .json" in result.output
    assert not (tmp_path / "graph.png").exists()


def test_the_help_has_two_examples():
    assert run("--help").output.count("unikeras graph model.keras") == 2

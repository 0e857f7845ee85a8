"""One model on every backend, in processes of their own; artifacts and torch modules; the plugin for pytest."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import unikeras as uk
from unikeras import workers
from unikeras.cli import commands
from unikeras.errors import ArgumentValueError, SignatureError, WorkerDied

pytestmark = pytest.mark.usefixtures("one_thread")


def small(name="small", units=4):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.BatchNormalization(), keras.layers.Dropout(0.5), keras.layers.Dense(2)]
    return keras.Sequential([keras.Input((units,)), keras.layers.Dense(3), *layers], name=name)


def test_a_model_is_equal_on_every_backend():
    report = uk.compare.parity(small(), steps=1)
    assert report.equal, report
    assert report.sides[0].name == uk.backend()
    assert {side.name for side in report.sides} == set(uk.backends.available())
    assert all(len(side.losses) == 1 for side in report.sides)
    # The bias before the normalization has no gradient but rounding noise, of which Adam makes full steps.
    assert max(row.gaps["optimizer"].max_abs for row in report.layers if "optimizer" in row.gaps) < 1e-4


def test_a_backend_that_dies_is_a_row(monkeypatch):
    call = workers.call
    victim = uk.backends.available()[-1]

    def dying(backend, *rest, **options):
        if backend == victim:
            raise WorkerDied("the worker was ended by signal 9", -9)
        return call(backend, *rest, **options)

    monkeypatch.setattr(workers, "call", dying)
    report = uk.compare.parity(small(), steps=0)
    assert not report.equal
    assert report.first is None
    assert {side.name: side.error for side in report.sides if side.error} == {
        victim: "the worker was ended by signal 9"
    }
    assert "did not finish" in report.verdict


def test_an_artifact_is_compared_by_its_outputs(tmp_path):
    model, path = small(), tmp_path / "small.onnx"
    uk.export_model(model, path)
    report = uk.compare.parity(model, against=path)
    assert report.equal, report
    last = model.layers[-1]
    last.set_weights([array + 1 for array in last.get_weights()])
    report = uk.compare.parity(model, against=path)
    assert (report.first.layer, report.first.phase) == ("outputs", "forward")
    assert any("other weights than the model has now" in note for note in report.notes)
    with pytest.raises(SignatureError, match=r"is an artifact of another model.*\(None, 4\).*'other'"):
        uk.compare.parity(small("other", units=5), against=path)


def test_a_torch_module_is_compared_layer_by_layer():
    import torch

    keras.utils.set_random_seed(0)
    conv, dense = (
        keras.layers.Conv2D(4, 3, activation="relu", name="conv"),
        keras.layers.Dense(2, name="dense"),
    )
    model = keras.Sequential([keras.Input((6, 6, 3)), conv, keras.layers.GlobalAveragePooling2D(), dense])
    pool = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), *pool, torch.nn.Linear(4, 2))
    kernel, bias = conv.get_weights()
    module[0].weight.data = torch.tensor(kernel.transpose(3, 2, 0, 1))
    module[0].bias.data = torch.tensor(bias)
    module[4].weight.data = torch.tensor(dense.get_weights()[0].T)
    module[4].bias.data = torch.tensor(dense.get_weights()[1])
    report = uk.compare.parity(model, against=module)
    assert report.equal, report
    assert any("channels first" in note for note in report.notes)
    module[0].bias.data += 0.5
    report = uk.compare.parity(model, against=module)
    assert (report.first.layer, report.first.phase) == ("conv", "forward")
    with pytest.raises(ArgumentValueError, match="the torch module does not compute"):
        uk.compare.parity(model, against=torch.nn.Linear(5, 2))


COMMANDS = """
import keras
def model(slope=0.3):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(3, name="dense"), keras.layers.LeakyReLU(slope, name="bend")]
    return keras.Sequential([keras.Input((4,)), *layers], name="model")
def other():
    return model(0.2)
class Doubled(keras.layers.Layer):
    def call(self, x):
        return 2 * x
def custom():
    return keras.Sequential([keras.Input((4,)), Doubled()])
"""


@pytest.fixture
def command(tmp_path, monkeypatch):
    (tmp_path / "shapes.py").write_text(COMMANDS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield lambda *arguments: CliRunner().invoke(commands, ["compare", *arguments])
    sys.modules.pop("shapes", None)


def test_the_command_line_exits_with_3_for_a_difference(command, tmp_path):
    done = command("shapes:model", "--against", "shapes:other", "--steps", "0", "--json", "--out", "out")
    assert done.exit_code == 3, done.output
    told = json.loads(done.stdout)
    assert (told["equal"], told["first"]["layer"], told["first"]["phase"]) == (False, "bend", "forward")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["parity.html", "parity.json"]
    assert "bend, forward" in (tmp_path / "out" / "parity.html").read_text()
    assert done.stderr == ""
    np.savez("x.npz", x=np.ones((3, 4)))
    done = command("shapes:model", "--against", "shapes:model", "--steps", "0", "--data", "x.npz")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "equal on" in done.stdout


def test_the_command_line_says_how_to_pass_custom_classes(command):
    sys.path.insert(0, "")
    import shapes

    shapes.custom().save("custom.keras")
    done = command("custom.keras", "--against", "custom.keras")
    assert done.exit_code == 2
    assert "needs class 'Doubled'" in done.stderr
    assert "pass module:function" in done.stderr


PYTEST = """
import os
import keras
import pytest
@pytest.fixture(scope="module")
def shared():
    return []
@pytest.mark.backends("torch", "jax")
def test_runs_under(keras_backend, shared):
    shared.append(keras_backend)
    assert keras.backend.backend() == keras_backend
@pytest.mark.backends("torch", "jax")
@pytest.mark.parametrize("number", [1, 2])
def test_shares_fixtures(keras_backend, shared, number):
    print("seen under", keras_backend)
    assert shared == [keras_backend] and number == 1
@pytest.mark.backends("jax")
def test_skips():
    pytest.skip("not today")
@pytest.mark.backends("jax")
@pytest.mark.xfail(reason="known")
def test_expects_to_fail():
    assert False
@pytest.mark.backends("torch")
def test_dies():
    os._exit(7)
def test_here():
    assert "UNIKERAS_PYTEST_CHANNEL" not in os.environ
"""


def test_the_plugin_runs_a_test_under_each_backend(tmp_path):
    (tmp_path / "test_it.py").write_text(PYTEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-v",
        "-p",
        "unikeras.compare._pytest_plugin",
        "-p",
        "no:cacheprovider",
    ]
    environment = {**os.environ, "KERAS_BACKEND": uk.backend()}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    lines = dict(line.split()[:2] for line in done.stdout.splitlines() if line.startswith("test_it.py::"))
    for name in ("torch", "jax"):
        assert lines[f"test_it.py::test_runs_under[{name}]"] == "PASSED", done.stdout
        assert lines[f"test_it.py::test_shares_fixtures[{name}-1]"] == "PASSED"
        assert lines[f"test_it.py::test_shares_fixtures[{name}-2]"] == "FAILED"
        assert f"seen under {name}" in done.stdout
    assert lines["test_it.py::test_skips[jax]"] == "SKIPPED"
    assert lines["test_it.py::test_dies[torch]"] == "FAILED"
    assert "under torch exited with code 7 in the middle of the test" in done.stdout
    assert lines["test_it.py::test_expects_to_fail[jax]"] == "XFAIL"
    assert lines["test_it.py::test_here"] == "PASSED"


def test_the_plugin_imports_nothing_heavy():
    code = "import sys, unikeras.compare._pytest_plugin; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"keras", "tensorflow", "torch", "jax", "numpy", "rich", "click", "matplotlib"}
    assert heavy.isdisjoint(done.stdout.split())

"""The demo as a command: exit codes, files and words, with workers that are stubs; and once for real."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

import unikeras as uk
from unikeras.apps.demo import artifacts, outputs
from unikeras.apps.demo.loop import Training, train
from unikeras.cli import commands
from unikeras.errors import ExportMismatch, RemoteError, WorkerDied

for module in ("sklearn", "matplotlib", "PIL"):
    pytest.importorskip(module, reason=f"{module}, of the extra demo, is not installed")

NAMES = ["tensorflow", "jax", "torch"]
FILES = {"best.keras", "model", "model.onnx", "model.pt", "report.json", "report.html", "curves.png"}


class Workers:
    """Stands for `uk.run_on`: answers as workers would, or raises what a test puts into `errors`."""

    def __init__(self):
        self.calls = []
        self.errors = {}  # by backend for training, by format for exports
        self.wrong = {}  # backend -> wrong predictions
        self.shift = {}  # backend -> what its losses are off by

    def __call__(self, backend, f, *args):
        self.calls.append((backend, f.__name__, args))
        return {train: self._train, artifacts.save: self._save, artifacts.export: self._export}[f](
            backend, *args
        )

    def _raise(self, key):
        if key in self.errors:
            raise self.errors[key]

    def _train(self, backend, data, epochs, weights):
        self._raise(backend)
        losses = [(1 + self.shift.get(backend, 0.0)) * 2.0 / (i + 1) for i in range(20 * epochs)]
        sure = self._predict(data, self.wrong.get(backend, 3))
        accuracy, rest = [0.9] * epochs, ([0.3] * epochs, [1e-3] * len(losses))
        return Training(
            [np.zeros(1)], losses, [0.01] * len(losses), accuracy, accuracy, sure, [], sure, *rest
        )

    def _predict(self, data, wrong):
        probabilities = np.eye(10, dtype="float32")[data.test.labels]
        probabilities[:wrong] = np.roll(probabilities[:wrong], 1, axis=-1)
        return probabilities

    def _save(self, backend, data, weights, out):
        self._raise("save")
        (out / "best.keras").write_text("weights")
        return self._predict(data, 3)

    def _export(self, backend, out, name):
        self._raise(name)
        path = out / outputs.ARTIFACTS[name]
        path.mkdir(exist_ok=True) if name == "saved_model" else path.write_text("model")
        shown = {"format": name, "path": str(path), "size": 5, "route": "a route", "verified_at": [1, 3, 8]}
        return shown | {"status": "verified", "max_error": 1e-7, "error": None}

    def did(self, name):
        return [backend for backend, called, _ in self.calls if called == name]


@pytest.fixture
def workers(monkeypatch):
    stub = Workers()
    monkeypatch.setattr(uk, "run_on", stub)
    monkeypatch.setattr(uk.backends, "available", lambda: NAMES)
    monkeypatch.setattr(uk.backends._registry, "available", lambda: NAMES)
    monkeypatch.setattr(artifacts, "reasons", lambda: dict.fromkeys(outputs.ARTIFACTS))
    return stub


@pytest.fixture
def demo(tmp_path):
    """Run the command and return (exit code, stdout, stderr)."""

    def run_it(*arguments):
        out = () if "--out" in arguments else ("--out", str(tmp_path / "out"))
        done = CliRunner().invoke(commands, ["demo", *out, *map(str, arguments)], env={"COLUMNS": "200"})
        return done.exit_code, done.stdout, done.stderr

    return run_it


def _report(tmp_path):
    return json.loads((tmp_path / "out" / "report.json").read_text())


def test_all_is_well(demo, workers, tmp_path):
    code, out, _ = demo()
    assert code == 0
    for text in (
        "one training loop · tensorflow, jax, torch",
        "99.2%",
        "agree to 0.0e+00",
        "model.onnx (onnx)",
    ):
        assert text in out
    assert f"report: {tmp_path}/out/report.html   curves: {tmp_path}/out/curves.png" in out.replace("\n", "")
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    assert workers.did("train") == NAMES


def test_the_others_start_from_the_weights_of_the_first(demo, workers):
    demo()
    starts = [args[2] for _, name, args in workers.calls if name == "train"]
    assert starts[0] is None
    assert starts[1] is not None
    assert starts[2] is not None


def test_the_backend_that_trained_the_best_exports_it(demo, workers):
    demo("--backend", "torch", "--backend", "jax", "--backend", "torch")
    assert workers.did("train") == ["torch", "jax"]
    assert {backend for backend, name, _ in workers.calls if name in ("save", "export")} == {"torch"}


def test_json_stands_alone_on_stdout(demo, workers, tmp_path):
    code, out, err = demo("--json")
    assert code == 0
    assert json.loads(out) == _report(tmp_path)
    assert "one training loop" in err


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (WorkerDied("the jax worker was killed by SIGKILL", -9), "the jax worker was killed by SIGKILL"),
        (
            RemoteError("train raised ValueError: bad\n\nTraceback: deep", "", ""),
            "train raised ValueError: bad",
        ),
    ],
)
def test_a_backend_that_fails_is_named_and_the_others_go_on(demo, workers, tmp_path, error, told):
    workers.errors["jax"] = error
    code, out, err = demo()
    assert code == 1
    assert f"jax failed: {told}" in out
    assert f"error: jax: training failed: {told}" in err
    assert "deep" not in out + err
    assert workers.did("train") == NAMES
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    assert told in (tmp_path / "out" / "report.html").read_text()
    assert _report(tmp_path)["backends"][1]["error"] == str(error)


def test_debug_shows_the_traceback_from_the_worker(demo, workers):
    workers.errors["jax"] = RemoteError("train raised ValueError: bad\n\nTraceback: deep", "", "")
    assert "Traceback: deep" in demo("--debug")[2]


def test_the_first_backend_may_fail(demo, workers):
    workers.errors["tensorflow"] = WorkerDied("gone", 1)
    assert demo()[0] == 1
    starts = [args[2] for _, name, args in workers.calls if name == "train"]
    assert starts[:2] == [None, None]
    assert starts[2] is not None


def test_where_all_fail_nothing_is_exported(demo, workers, tmp_path):
    workers.errors = {name: WorkerDied(f"{name} is gone", 1) for name in NAMES}
    code, _, err = demo()
    assert code == 1
    assert err.count("training failed") == 3
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "report.json",
        "report.html",
        "curves.png",
    }


def test_losses_that_differ_are_a_failure(demo, workers, tmp_path):
    workers.shift["torch"] = 2e-3
    code, _, err = demo()
    assert code == 1
    assert "tensorflow and torch: losses of the first 20 steps differ by 2.0e-03" in err
    assert _report(tmp_path)["loss_agreement"]["agree"] is False
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES


def test_an_accuracy_below_the_goal_is_a_failure(demo, workers):
    workers.wrong["torch"] = 12
    code, _, err = demo()
    assert code == 1
    assert "error: torch: test accuracy 96.7% is below 97%" in err


def test_after_fewer_epochs_the_accuracy_is_only_reported(demo, workers):
    workers.wrong["torch"] = 100
    assert demo("--epochs", "9")[0] == 0
    assert demo("--epochs", "11")[0] == 1


def test_a_failed_export_is_a_failure(demo, workers, tmp_path):
    workers.errors["onnx"] = WorkerDied("the worker fell over", -11)
    code, _, err = demo()
    assert code == 1
    assert "error: onnx: export failed: the worker fell over" in err
    assert [row["status"] for row in _report(tmp_path)["artifacts"]] == ["verified", "verified", "failed"]


def test_a_checkpoint_that_cannot_be_written_is_a_failure(demo, workers):
    workers.errors["save"] = RemoteError("no space left", "", "")
    code, _, err = demo()
    assert code == 1
    assert "best.keras was not written: no space left" in err
    assert workers.did("export") == []


def test_a_format_without_its_toolchain_is_a_row_and_no_failure(demo, workers, monkeypatch):
    monkeypatch.setattr(artifacts, "reasons", lambda: {"torchscript": "needs [torch]", "onnx": None})
    code, out, _ = demo()
    assert code == 0
    assert "not installed" in out
    assert "torchscript: needs [torch]" in out
    assert workers.did("export") == ["tensorflow"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--backend", "mxnet"], "unknown backend 'mxnet'; unikeras runs on tensorflow, jax, torch"),
        (["--data", "nowhere"], "cannot read nowhere"),
        (["--dataset", "imagenet"], "is not one of"),
        (["--epochs", "0"], "0 is not in the range"),
        (["--data", "x", "--dataset", "mnist"], "--data and --dataset exclude each other"),
        (["--out", __file__], "cannot write to"),
        (["--out", "/proc/out"], "cannot write to"),
    ],
)
def test_wrong_use_is_told_before_anything_runs(demo, workers, arguments, told):
    code, _, err = demo(*arguments)
    assert code == 2
    assert told in err
    assert workers.calls == []


def test_a_backend_that_is_not_installed_is_told_with_its_pip_line(demo, workers, monkeypatch):
    monkeypatch.setattr(uk.backends._registry, "available", lambda: ["jax"])
    code, _, err = demo("--backend", "torch")
    assert code == 2
    assert 'pip install "torch' in err
    monkeypatch.setattr(uk.backends, "available", list)
    code, _, err = demo()
    assert code == 2
    assert "none is installed" in err
    assert workers.calls == []


def test_a_missing_library_is_told_with_its_pip_line(demo, workers, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "matplotlib" else find(name, *rest)
    )
    code, _, err = demo()
    assert (code, workers.calls) == (2, [])
    assert "the demo needs matplotlib, not installed here: pip install matplotlib" in err


def test_a_second_run_replaces_the_first_and_leaves_nothing_of_it(demo, workers, tmp_path):
    demo()
    (tmp_path / "out" / "mine.txt").write_text("stays")
    workers.errors["save"] = RemoteError("no space left", "", "")
    demo()
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == {"report.json", "report.html", "curves.png", "mine.txt"}


def test_until_a_new_checkpoint_stands_the_earlier_one_does(demo, workers, tmp_path, monkeypatch):
    demo()
    save, seen = workers._save, []
    monkeypatch.setattr(
        workers,
        "_save",
        lambda *args: seen.append({path.name for path in (tmp_path / "out").iterdir()}) or save(*args),
    )
    workers.errors["onnx"] = WorkerDied("the worker fell over", -11)
    demo()
    assert seen == [FILES]
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES - {"model.onnx"}


@pytest.mark.parametrize("content", [None, "not json", '{"loss": 1}', "[]", "3"])
def test_files_of_somebody_else_are_not_replaced(demo, workers, tmp_path, content):
    (tmp_path / "out" / "model").mkdir(parents=True)
    if content is not None:
        (tmp_path / "out" / "report.json").write_text(content)
    code, _, err = demo()
    assert (code, workers.calls) == (2, [])
    assert "model" in err
    assert "which no earlier run of the demo wrote" in err


def test_the_command_offers_what_can_be_loaded():
    from unikeras.apps.demo.data import NAMES
    from unikeras.cli.demo import demo as command

    choices = next(option.type.choices for option in command.params if option.name == "dataset")
    assert tuple(choices) == NAMES


def test_what_workers_start_with_is_taken_back(demo, workers, monkeypatch):
    seen = []
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    keys = ("OMP_NUM_THREADS", "TF_CPP_MIN_LOG_LEVEL")
    monkeypatch.setattr(
        uk, "run_on", lambda *args: seen.append([os.environ[k] for k in keys]) or workers(*args)
    )
    demo("--backend", "jax")
    assert seen[0] == ["7", "2"]
    assert [os.environ.get(key) for key in keys] == ["7", None]


def test_neither_keras_nor_a_framework_is_imported_here():
    code = "import unikeras.cli.demo, unikeras.apps.demo, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"keras", "sklearn", "matplotlib", "PIL", *NAMES}.isdisjoint(loaded.stdout.split())


@pytest.mark.parametrize("error", [ExportMismatch("the numbers differ"), None])
def test_an_export_becomes_a_row(monkeypatch, tmp_path, error):
    keras = pytest.importorskip("keras")
    monkeypatch.setattr(keras.saving, "load_model", lambda path: "model")

    def export_model(model, path, format, overwrite):
        if error:
            raise error
        from unikeras.export import ArtifactReport, ExportReport

        return ExportReport("demo", "any", [ArtifactReport(format, str(path), 5, "a route", [1, 3, 8], 1e-7)])

    monkeypatch.setattr(uk, "export_model", export_model)
    row = artifacts.export(tmp_path, "onnx")
    assert set(row) == set(artifacts.failed("onnx", ""))
    assert (row["status"], row["error"]) == (
        ("failed", "the numbers differ") if error else ("verified", None)
    )


def test_for_real_on_the_current_backend(tmp_path):
    """One epoch on the digits, through the command line, with workers that are processes."""
    command = [sys.executable, "-m", "unikeras", "demo", "--epochs", "1", "--json", "--backend", uk.backend()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made == _report(tmp_path)
    (row,) = made["backends"]
    assert len(row["loss"]) == 39
    assert row["loss"][-1] < row["loss"][0] * 0.95
    assert 0.5 < row["test_accuracy"] <= 1
    assert row["ms_per_step"] > 0
    assert made["best"]["test_accuracy"] == row["test_accuracy"]
    offered = {row.format: row.available for row in uk.export_formats()}
    for artifact in made["artifacts"]:
        assert artifact["status"] == ("verified" if offered[artifact["format"]] else "not installed")
    assert (tmp_path / "out" / "best.keras").stat().st_size > 10_000
    assert f"{uk.backend()} " in done.stderr

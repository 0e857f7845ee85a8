"""uk.callbacks.HistoryFile in fit of uk.Model and of keras.Model."""

from __future__ import annotations

import json
import warnings

import keras
import numpy as np
import pytest

import unikeras as uk
from unikeras.callbacks import HistoryFile, read_history

pytestmark = pytest.mark.usefixtures("backend")

X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
Y = X[:, :1]


@pytest.fixture(scope="module", params=[uk.Model, keras.Model], ids=["unikeras", "keras"])
def model(request):
    inputs = keras.Input((3,))
    model = request.param(inputs, keras.layers.Dense(1)(inputs))
    model.compile(keras.optimizers.SGD(0.25), "mse")
    return model


def fit(model, *callbacks, **options):
    options = {"epochs": 3, "batch_size": 8, "verbose": 0, **options}  # 5 steps an epoch
    return model.fit(X, Y, validation_data=(X, Y), callbacks=list(callbacks), **options)


def test_epochs_are_those_of_the_history(model, tmp_path):
    history = fit(model, HistoryFile(tmp_path / "runs" / "run.jsonl")).history
    (run,) = read_history(tmp_path / "runs" / "run.jsonl")
    assert run.is_finished
    assert run.metrics == ["learning_rate", "loss", "val_loss"]
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose([run.epochs[i][name] for i in range(3)], history[name])
    assert {logs["learning_rate"] for logs in run.epochs.values()} == {0.25}


def test_steps_are_written_on_request(model, tmp_path):
    done = int(model.optimizer.iterations)
    fit(model, callback := HistoryFile(tmp_path / "run.jsonl", every_steps=4))
    (run,) = read_history(tmp_path / "run.jsonl")
    assert list(run.steps) == [step for step in range(done + 1, done + 16) if step % 4 == 0]
    assert callback.state == {"step": done + 15}


def test_a_run_goes_on(model, tmp_path):
    path = tmp_path / "run.jsonl"
    fit(model, HistoryFile(path))
    with path.open("ab") as file:
        file.write(b'{"event": "epo')  # and the process was killed
    fit(model, HistoryFile(path), initial_epoch=1, epochs=4)
    (run,) = read_history(path)
    assert (list(run.epochs), run.resumed) == ([0, 1, 2, 3], [1])
    fit(model, HistoryFile(path), epochs=1)
    assert [list(run.epochs) for run in read_history(path)] == [[0, 1, 2, 3], [0]]


def test_a_restored_callback_goes_on_in_the_first_epoch(model, tmp_path):
    first, second = HistoryFile(tmp_path / "run.jsonl"), HistoryFile(tmp_path / "run.jsonl")
    fit(model, first, epochs=1)
    second.restore(json.loads(json.dumps(first.state)) | {"step": 2})
    fit(model, second, epochs=2)
    (run,) = read_history(tmp_path / "run.jsonl")
    assert (list(run.epochs), run.resumed, second.state) == ([0, 1], [0], {"step": 12})


def test_metrics_that_are_no_numbers(tmp_path):
    class Odd(uk.Model):
        def train_step(self, data):
            return {"nan": keras.ops.log(-keras.ops.ones(())), "inf": 1 / keras.ops.zeros(())}

    model = Odd(inputs := keras.Input((3,)), keras.layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0, callbacks=[HistoryFile(tmp_path / "run.jsonl")])
    for line in (tmp_path / "run.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)
    logs = read_history(tmp_path / "run.jsonl")[0].epochs[0]
    assert np.isnan(logs["nan"])
    assert np.isinf(logs["inf"])


def test_a_file_that_is_no_history_is_kept(model, tmp_path):
    (tmp_path / "run.jsonl").write_text("mine\n")
    with pytest.raises(uk.errors.CorruptArtifact, match=r"run\.jsonl"):
        fit(model, HistoryFile(tmp_path / "run.jsonl"))
    assert (tmp_path / "run.jsonl").read_text() == "mine\n"
    with pytest.raises(uk.errors.OutputError, match="cannot write"):
        fit(model, HistoryFile(tmp_path / "run.jsonl" / "below"))
    with pytest.raises(uk.errors.ArgumentValueError, match="every_steps"):
        HistoryFile("run.jsonl", every_steps=-1)


def test_a_failing_disk_does_not_stop_the_training(model, tmp_path, monkeypatch):
    def fail(descriptor, data):
        raise OSError(28, "No space left on device")

    with warnings.catch_warnings(record=True) as caught, monkeypatch.context() as patch:
        warnings.simplefilter("always")
        patch.setattr("unikeras.callbacks._appended_file._write", fail)
        history = fit(model, HistoryFile(tmp_path / "run.jsonl", every_steps=1)).history
    assert len(history["loss"]) == 3
    assert [str(one.message) for one in caught if "No space left" in str(one.message)].__len__() == 1

"""A run can be stopped and goes on; what it saves predicts what the model predicted."""

import json

import keras
import numpy as np
from data import load
from model import build, to_export
from train import main


def epochs_of(folder):
    lines = (folder / "history.jsonl").read_text().splitlines()
    return [line["epoch"] for line in map(json.loads, lines) if line["event"] == "epoch"]


def test_a_run_goes_on_where_it_ended(tmp_path):
    main(["--epochs", "1", "--out", str(tmp_path)])
    main(["--epochs", "2", "--out", str(tmp_path)])
    assert epochs_of(tmp_path) == [0, 1]


def test_a_saved_model_predicts_the_same(tmp_path):
    training, _ = load(8)
    model = build()
    model.fit(training, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    part = to_export(model)
    shape = [4 if size is None else size for size in part.input_shape]
    x = np.random.default_rng(0).uniform(0, 9, size=shape).astype(part.inputs[0].dtype)
    again = to_export(keras.saving.load_model(tmp_path / "model.keras"))
    np.testing.assert_allclose(again.predict(x, verbose=0), part.predict(x, verbose=0), rtol=1e-5, atol=1e-6)

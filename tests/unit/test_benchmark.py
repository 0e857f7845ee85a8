"""`uk.compare.benchmark` and `unikeras bench` on the backend that runs here; no test looks at the times."""

from __future__ import annotations

import json
import os
import sys

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import unikeras as uk
from unikeras import cli
from unikeras.compare import _benchmark_data, _benchmark_request, _benchmark_rounds
from unikeras.errors import ArgumentError, ArgumentValueError, ExportError, UnknownBackend, UnknownFormat

HERE = uk.backend()
QUICK = {"backends": [HERE], "batch_sizes": [2], "rounds": 2, "seconds": 0.001}


def tiny(**settings):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")], name="tiny")
    if settings:
        model.compile(**settings)
    return model


def outcomes(result):
    return {(row.task, row.way): row.error for row in result.rows}


def test_every_row_is_measured_or_says_why_not(monkeypatch):
    def refuse(*arguments):
        raise ExportError("it holds no such model")

    monkeypatch.setattr(_benchmark_rounds, "_write", refuse)
    result = uk.compare.benchmark(tiny(), references=["keras", "hand-written"], artifacts="onnx", **QUICK)
    *measured, refused = result.rows
    ways = ("unikeras", "keras", "hand-written")
    assert [(row.task, row.way) for row in measured] == [
        (task, way) for task in ("train", "predict") for way in ways
    ]
    for row in measured:
        assert row.error is None
        assert len(row.times_ms) >= 2
        assert row.first_s > 0
        assert row.peak_mib > 50
    assert (refused.name, refused.times_ms) == ("onnx", ())
    assert refused.error == "unikeras.errors.ExportError: it holds no such model"
    assert result.parameters == 15
    assert result.machine["versions"].keys() >= {"keras", HERE}
    assert "the model is not compiled: trained with Adam and mean_squared_error" in result.notes


def test_a_compiled_model_keeps_its_loss_and_takes_the_data_given():
    model = tiny(optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    before = model.get_weights()
    x, y = np.ones((3, 4)), np.array([0, 1, 2])
    result = uk.compare.benchmark(
        model, x, y, predict=False, references=(), **{**QUICK, "batch_sizes": [2, 5]}
    )
    assert [(row.batch, row.error) for row in result.rows] == [(2, None), (5, None)]
    assert result.notes == ["trained with SGD and sparse_categorical_crossentropy"]
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_process_that_dies_is_a_row_with_its_error_and_the_others_go_on():
    owner = os.getpid()

    class Dying(keras.layers.Layer):
        def call(self, x, training=False):
            if os.getpid() != owner and training:
                os._exit(3)
            return x

    model = keras.Sequential([keras.Input((4,)), Dying(), keras.layers.Dense(3)])
    found = outcomes(uk.compare.benchmark(model, references=["keras"], **QUICK))
    for way in ("unikeras", "keras"):
        assert "exited with code 3" in found["train", way]
        assert found["predict", way] is None


def test_several_inputs_and_outputs_and_a_dynamic_axis():
    a, b = keras.Input((None, 2), name="a"), keras.Input((1,), dtype="int32", name="b")
    pooled = keras.layers.GlobalAveragePooling1D()(a)
    embedded = keras.layers.Flatten()(keras.layers.Embedding(5, 2)(b))
    model = keras.Model({"a": a, "b": b}, [keras.layers.Dense(1)(pooled), keras.layers.Dense(3)(embedded)])
    model.compile("sgd", ["mse", keras.losses.SparseCategoricalCrossentropy(from_logits=True)])
    assert outcomes(uk.compare.benchmark(model, **QUICK)) == {
        ("train", "unikeras"): None,
        ("predict", "unikeras"): None,
    } | {
        ("predict", "hand-written"): None  # a step for two losses is not known
    }


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"backends": "numpy"}, UnknownBackend, "unknown backend 'numpy'"),
        ({"backends": [HERE, HERE]}, ArgumentValueError, f"a backend is named twice: {HERE}"),
        ({"backends": []}, ArgumentValueError, "no backend is named"),
        ({"artifacts": "onxx"}, UnknownFormat, "did you mean 'onnx'"),
        ({"artifacts": ["pt2", "pt2"]}, ArgumentValueError, "a format is named twice: pt2"),
        ({"batch_sizes": [4, 0]}, ArgumentValueError, "a whole number above 0; received 0"),
        ({"batch_sizes": []}, ArgumentValueError, "a whole number above 0; received none"),
        ({"batch_sizes": ["4"]}, ArgumentValueError, "received '4'"),
        ({"train": False, "predict": False}, ArgumentValueError, "neither train nor predict"),
        ({"references": ["jax"]}, ArgumentValueError, "unknown reference jax; there are keras, hand-written"),
        ({"rounds": 0}, ArgumentValueError, "rounds is a whole number above 0"),
        ({"seconds": -1}, ArgumentValueError, "seconds is a number above 0"),
        ({"timeout": 0}, ArgumentValueError, "timeout is a number above 0"),
        ({"x": np.ones((3, 5))}, ArgumentValueError, r"takes float32 \(None, 4\); x has float64 \(3, 5\)"),
        ({"x": {"z": np.ones((3, 4))}}, ArgumentValueError, "x does not fit the model: expected the inputs"),
        ({"y": np.ones((3, 3))}, ArgumentValueError, "y came without x"),
        ({"x": np.ones((3, 4)), "y": np.ones((2, 3))}, ArgumentValueError, "x has 3 rows and y has 2"),
        ({"x": np.ones((3, 4)), "y": np.ones((3, 7))}, ArgumentValueError, r"y has \(3, 7\)"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_wrong_use_is_refused_before_a_process_starts(settings, error, message):
    with pytest.raises(error, match=message):
        uk.compare.benchmark(tiny(), **settings)


def test_all_problems_come_at_once():
    with pytest.raises(ArgumentValueError) as caught:
        uk.compare.benchmark(
            tiny(), np.ones((3, 5)), backends=[HERE, HERE, "numpy"], batch_sizes=[0], rounds=0
        )
    lines = str(caught.value).splitlines()
    assert lines[0] == "the benchmark cannot start for 5 reasons:"
    assert len(lines) == 6


@pytest.mark.parametrize("model", [None, "model.keras", keras.Sequential([keras.layers.Dense(1)])])
def test_only_built_models_are_measured(model):
    with pytest.raises(ArgumentError, match=r"takes a built keras.Model; received"):
        uk.compare.benchmark(model)


def test_a_fixed_batch_size_is_the_only_one():
    model = keras.Sequential([keras.Input((4,), batch_size=3), keras.layers.Dense(1)])
    with pytest.raises(ArgumentValueError, match="fixed batch size of 3; received 1, 64"):
        uk.compare.benchmark(model)


@pytest.mark.parametrize(
    ("loss", "shape", "kind"),
    [
        ("sparse_categorical_crossentropy", (2, 5), "i"),
        (keras.losses.SparseCategoricalCrossentropy(), (2, 7, 5), "i"),
        (keras.losses.BinaryCrossentropy(), (2, 5), "f"),
        ("categorical_crossentropy", (2, 5), "f"),
        (keras.losses.mean_squared_error, (2, 5), "f"),
    ],
)
def test_made_up_targets_are_what_the_loss_takes(loss, shape, kind):
    targets = _benchmark_data.targets_for(loss, np.zeros(shape, "float32"))
    assert targets.dtype.kind == kind
    assert targets.shape == (shape[:-1] if kind == "i" else shape)
    value = keras.ops.convert_to_numpy(keras.losses.get(loss)(targets, np.full(shape, 0.2, "float32")))
    assert np.isfinite(value).all()


def test_batches_repeat_the_rows_of_short_data():
    problems = _benchmark_request.Problems()
    data = _benchmark_data.data_of(tiny(), np.arange(8.0).reshape(2, 4), np.array([0, 1]), problems)
    x, y = data.batch(3)
    assert problems.found == []
    assert x[:, 0].tolist() == [0, 4, 0]
    assert y.tolist() == [0, 1, 0]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run `unikeras bench` in a folder with a module whose `build` returns a model, and with data for it."""
    (tmp_path / "bench_of_tiny.py").write_text(
        "import keras\n"
        "def build():\n"
        "    print('hello from the builder')\n"
        "    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)], name='built')\n"
    )
    np.savez(tmp_path / "data.npz", x=np.ones((3, 4)), y=np.ones((3, 3)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "bench_of_tiny", raising=False)
    quick = ["--backends", HERE, "--batch", "2", "--rounds", "1", "--seconds", "0.001", "--references", ""]
    return lambda *words: CliRunner().invoke(cli.commands, ["bench", *map(str, words), *quick])


def test_the_command_prints_one_document_and_writes_to_out(run, tmp_path):
    done = run("bench_of_tiny:build", "--predict", "--data", "data.npz", "--json", "--out", "out")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["model"] == "built"
    assert [(one["task"], one["batch"], one["error"]) for one in document["rows"]] == [("predict", 2, None)]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"bench.html", "bench.json", "bench.png"}


def test_the_command_writes_no_file_without_out(run, tmp_path):
    before = {path.name for path in tmp_path.iterdir()}
    done = run("bench_of_tiny:build", "--train")
    assert done.exit_code == 0, done.output
    assert "benchmark of built, 15 parameters" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == before


def test_a_file_that_needs_classes_says_how_to_pass_them(run, tmp_path):
    class Own(keras.layers.Layer):
        def call(self, x):
            return x

    keras.Sequential([keras.Input((4,)), Own(), keras.layers.Dense(3)]).save(tmp_path / "own.keras")
    done = run("own.keras")
    assert done.exit_code == 2
    assert "own.keras needs class 'Own', which is not imported here. Write load.py with" in done.stderr
    assert "pass load:model in the place of the file" in done.stderr


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("none.keras", "there is no file 'none.keras'"),
        ("no_such_module:build", "names no function here: No module named"),
        ("json:no_such_name", "names no function here: module 'json' has no attribute"),
        ("os:getcwd", "must return a keras.Model; it returned str"),
    ],
)
def test_what_is_no_model_is_refused(run, argument, message):
    done = run(argument)
    assert done.exit_code == 2
    assert message in done.stderr


def test_data_without_x_is_refused(run, tmp_path):
    np.savez(tmp_path / "other.npz", z=np.ones(3))
    done = run("bench_of_tiny:build", "--data", "other.npz")
    assert done.exit_code == 2
    assert "holds z; expected x" in done.stderr

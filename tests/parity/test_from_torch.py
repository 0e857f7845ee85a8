"""Modules of torch through `from_torch`: each is verified on every backend against torch, in a worker of its own."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import imported_cases
from torch import nn

import unikeras as uk
from unikeras.errors import ArgumentError, ParityError
from unikeras.interop import _import_check


@pytest.mark.rotated("backend", "name")
@pytest.mark.parametrize("name", [*imported_cases.CASES, *imported_cases.SEEDS])
@pytest.mark.parametrize("backend", uk.backends.available())
def test_modules_are_verified(backend, name):
    shapes, notes = uk.run_on(backend, imported_cases.import_one, name, timeout=300)
    assert len(shapes) == 2
    assert shapes[0] != shapes[1]
    assert not [note for note in notes if "not compared" in note] or name == "half"


@pytest.mark.parametrize("backend", uk.backends.available())
def test_states_are_the_modules(backend):
    uk.run_on(backend, imported_cases.check_states, timeout=300)


def test_a_file_of_one_backend_loads_on_the_others(tmp_path):
    first, *others = uk.backends.available()
    wanted = uk.run_on(first, imported_cases.save_cnn, str(tmp_path / "cnn.keras"))
    for backend in others:
        np.testing.assert_allclose(
            uk.run_on(backend, imported_cases.load_cnn, str(tmp_path / "cnn.keras")), wanted, atol=1e-5
        )


def test_a_wrong_rule_is_found_and_its_module_named():
    messages = uk.run_on("torch", imported_cases.errors_of_wrong_rules)
    text, gaps = messages["outputs"]
    assert "the first module that differs is 0 (torch.nn" in text
    assert gaps["eval"] > 1e-5
    # Forward equality does not show it.
    text, gaps = messages["gradients"]
    assert gaps["eval"] < 1e-6
    assert "the last is that of 3.weight, in aten.linear.default of 3 (torch.nn" in text


def test_the_verification_runs_in_a_worker():
    verified, kinds, text = uk.run_on("torch", imported_cases.import_in_a_worker_of_its_own)
    assert verified
    assert kinds == ["buffers", "eval", "gradients", "losses", "parameters", "train"]
    assert "verified at input (5, 3)" in text


def test_bad_requests_are_one_named_error():
    with pytest.raises(ArgumentError, match=r"takes a torch\.nn\.Module; received function"):
        uk.interop.from_torch(lambda x: x, (imported_cases.image(2, 3),))
    with pytest.raises(ArgumentError, match="inputs"):
        uk.interop.from_torch(nn.Linear(3, 2), (object(),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_import_check, "trial_inputs", lambda *_: [])
        with pytest.raises(ParityError, match="does not run at any size"):
            uk.interop.from_torch(nn.Linear(3, 2), (imported_cases.image(2, 3),))


def test_an_array_is_an_example_too():
    report = uk.interop.from_torch(nn.Linear(3, 2), np.zeros((2, 3), "float32")).import_report
    assert len(report.trials) == 2


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_an_example_of_equal_numbers_is_enough(value):
    # Behind a normalization equal numbers are rounding, and its sign would decide the gradient of the ReLU.
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
    model = uk.interop.from_torch(module, np.full((2, 3, 6, 6), value, "float32"))
    assert all(gap < 1e-5 for trial in model.import_report.trials for gap in trial.gaps.values())

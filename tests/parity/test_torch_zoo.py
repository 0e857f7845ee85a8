"""Whole modules of torch as Keras models: outputs, gradients and steps are torch's; they leave in other formats."""

from __future__ import annotations

import functools

import pytest
from helpers import zoo_runs, zoo_table
from helpers.torch_zoo import NAMES

import unikeras as uk

BACKENDS = uk.backends.available()
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Import a module once; return its file, and torch's answers."""
    folder = tmp_path_factory.mktemp("zoo")

    @functools.cache
    def of(model: str):
        answers = uk.run_on("torch", zoo_runs.write, model, str(folder), timeout=300)
        return str(folder / f"{model}.keras"), answers

    return of


@pytest.mark.rotated("model")
@pytest.mark.parametrize("model", NAMES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_module_computes_and_trains_as_in_torch(imported, model, backend):
    path, answers = imported(model)
    gaps = uk.run_on(backend, zoo_runs.gaps, path, answers, timeout=300)
    outputs = answers["tolerance"]
    limits = {"eval": outputs, "train": outputs, "buffers": outputs}
    # Adam takes whole steps of a parameter whose gradient is 0 in theory and noise in fact.
    limits["losses"] = max(outputs, 1e-4)
    limits["gradients"] = answers["gradient_tolerance"]
    assert {name: gap for name, gap in gaps.items() if not gap <= limits[name]} == {}


@pytest.mark.rotated("model")
@pytest.mark.parametrize("model", NAMES)
def test_a_module_leaves_as_saved_model_and_litert(imported, model, tmp_path):
    path, answers = imported(model)
    errors = uk.run_on("tensorflow", zoo_runs.export, path, str(tmp_path), answers["formats"], timeout=300)
    assert errors == dict.fromkeys(answers["formats"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_recurrent_module_streams_where_it_takes_its_states(imported, backend):
    path, answers = imported("lstm with projection and states")
    assert uk.run_on(backend, zoo_runs.chunks_gap, path, answers, 1, timeout=300) <= 2e-5


def test_the_page_has_the_table():
    page = zoo_table.PAGE.read_text()
    assert zoo_table.written(page, uk.run_on("torch", zoo_table.table, timeout=300)) == page

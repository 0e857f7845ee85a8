"""Cells of docs/export_matrix.md that have an artifact keep it: a third of its cells, or with --all every one."""

from __future__ import annotations

import functools

import export_cells
import export_table
import pytest
from export_cells import BACKENDS, MODELS, Cell

from unikeras.export._formats import FORMATS

PROMISED = export_table.read()


def pytest_generate_tests(metafunc):
    """Take the pairs backend by backend, so that one backend's processes are alive at a time."""
    if "pair" in metafunc.fixturenames:
        whole = metafunc.config.getoption("--all")
        pairs = [(m, b) for m in MODELS for b in BACKENDS] if whole else export_cells.third()
        ordered = sorted(pairs, key=lambda pair: BACKENDS.index(pair[1]))
        metafunc.parametrize("pair", ordered, ids="-".join)


pytestmark = pytest.mark.usefixtures("one_thread")


@functools.cache
def exported(model, backend):
    return export_cells.run(model, backend)


def test_what_is_proven_stays_proven(pair):
    lost = {
        format: cell.reason
        for format, cell in exported(*pair).items()
        if cell.reason and not PROMISED[*pair, format].reason
    }
    assert not lost


def test_the_page_tells_of_every_cell():
    assert set(PROMISED) == {(m, b, f) for m in MODELS for b in BACKENDS for f in FORMATS}


def test_only_the_model_with_a_memory_is_refused_and_hears_of_the_way():
    refused = {model for (model, _, _), cell in PROMISED.items() if cell.reason.startswith("refused")}
    assert refused == {"stateful"}
    assert all(
        "uk.stateful" in cell.reason for cell in PROMISED.values() if cell.reason.startswith("refused")
    )


def test_a_page_is_read_as_it_was_written(tmp_path):
    cells = {
        (MODELS[0], BACKENDS[0], format): Cell(reason="a | *b*_c") if number % 2 else Cell(error=3e-8)
        for number, format in enumerate(FORMATS)
    }
    export_table.write(cells, tmp_path / "page.md")
    assert export_table.read(tmp_path / "page.md") == cells


def test_a_third_has_every_model_and_each_backend_as_often():
    thirds = [export_cells.third(number) for number in range(len(BACKENDS))]
    models = set(MODELS) - set(export_cells.SLOW)
    assert {model for model, _ in thirds[0]} == models
    assert set().union(*thirds) == {(model, backend) for model in models for backend in BACKENDS}

"""Cells of docs/export_matrix.md that have an artifact keep it: one part of its cells a run, or all with --all."""

from __future__ import annotations

import pytest
from helpers import export_cells, export_table
from helpers.export_cells import BACKENDS, MODELS, Cell

from unikeras.export.request.format_table import FORMATS

PROMISED = export_table.read()


pytestmark = pytest.mark.usefixtures("one_thread")


# One backend's processes are alive at a time.
@pytest.mark.rotated("model", "backend")
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("backend", BACKENDS, scope="module")
def test_what_is_verified_stays_verified(model, backend):
    lost = {
        format: cell.reason
        for format, cell in export_cells.run(model, backend).items()
        if cell.reason and not PROMISED[model, backend, format].reason
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

"""Cells of the export matrix: a model, a backend and a format; each is verified, or has a reason why not."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

import unikeras as uk
from helpers import corpus
from unikeras.backends import _registry
from unikeras.export.request.format_table import FORMATS

BACKENDS = tuple(_registry.names())
MODELS = tuple(corpus.MODELS)

# More than any cell takes; a toolchain that hangs is a reason too.
LIMIT = 600


@dataclass(frozen=True)
class Cell:
    """What came of one export.

    Attributes:
        error: the largest difference from the model, where the artifact is verified.
        reason: why there is no verified artifact; "" where there is one.
    """

    error: float | None = None
    reason: str = ""


def run(model: str, backend: str, formats: Sequence[str] = tuple(FORMATS)) -> dict[str, Cell]:
    """Export a model of the corpus on a backend, and return a cell for each format; nothing stops it."""
    try:
        return uk.run_on(backend, _export, model, list(formats), timeout=LIMIT)
    except Exception as error:  # a worker that died or hung: the next cells get another one
        return dict.fromkeys(formats, Cell(reason=_line(f"{type(error).__name__}: {error}")))


def _export(name: str, formats: list[str]) -> dict[str, Cell]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            report = uk.export_model(corpus.build(name), folder, formats)
        except uk.errors.ExportError as error:
            if error.report is None:  # refused as it is, before any format
                return dict.fromkeys(formats, Cell(reason=f"refused: {_line(str(error))}"))
            report = error.report
        return {row.format: _cell(row, folder) for row in report.artifacts}


def _cell(row, folder: str) -> Cell:
    if row.error is None:
        return Cell(error=row.max_error)
    if not row.passed_over:
        return Cell(reason=_line(row.error))
    first, *others = row.passed_over
    more = f" (nor by {', '.join(passed.route for passed in others)})" if others else ""
    return Cell(reason=f"{first.route}: {_line(first.reason)}{more}".replace(folder, "."))


def _line(text: str) -> str:
    """Return the first line of a message that says what, without what differs from run to run."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()] or [""]
    first = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return re.sub(r"0x[0-9a-f]+|/\S*/(?=[^/\s]+)", "", first)[:240]

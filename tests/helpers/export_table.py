"""The export matrix as a page: written by the script, read by the test that holds it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from helpers.export_cells import BACKENDS, MODELS, Cell
from unikeras._base.files import written_atomically
from unikeras.export.request.format_table import FORMATS

PAGE = Path(__file__).parents[2] / "docs" / "export_matrix.md"

Matrix = dict[tuple[str, str, str], Cell]

HEAD = """# Every model, every backend, every format

Written by `python benchmarks/export_matrix.py --all`; the models are `tests/helpers/corpus`. A cell is one
`uk.export_model`: *verified* means that the artifact was run in its own runtime and equals the model at
several batch sizes and, where axes are dynamic, at several lengths; beside it stands the largest absolute
difference. Any other cell names its reason, listed below. A cell that is verified here has to be verified in
each test run.

{counts}
"""


def write(matrix: Mapping[tuple[str, str, str], Cell], path: Path = PAGE) -> None:
    """Write the page, in the order of the corpus; it is written atomically."""
    numbers = _numbered(matrix)
    sections = [HEAD.format(counts=_counts(matrix))]
    sections += [_table(matrix, backend, numbers) for backend in BACKENDS]
    sections += ["## Reasons\n", *(f"{number}. {_escaped(reason)}" for reason, number in numbers.items())]
    with written_atomically(path) as temporary:
        temporary.write_text("\n".join(sections) + "\n", encoding="utf-8")


def read(path: Path = PAGE) -> Matrix:
    """Return the cells of a page that `write` wrote; none where there is no page."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    reasons = dict(re.findall(r"^(\d+)\. (.*)$", text, re.MULTILINE))
    matrix: Matrix = {}
    for section in text.split("\n## ")[1:]:
        backend, _, body = section.partition("\n")
        for model, *cells in re.findall(r"^\| `(\w+)`" + r" \| ([^|]*)" * len(FORMATS) + r" \|$", body, re.M):
            found = zip(FORMATS, (_parsed(cell.strip(), reasons) for cell in cells), strict=True)
            matrix |= {(model, backend, format): cell for format, cell in found if cell}
    return matrix


def _table(matrix: Mapping[tuple[str, str, str], Cell], backend: str, numbers: Mapping[str, int]) -> str:
    rows = [["model", *FORMATS], ["---"] * (1 + len(FORMATS))]
    for model in MODELS:
        cells = [matrix.get((model, backend, format)) for format in FORMATS]
        rows.append([f"`{model}`", *(_shown(cell, numbers) for cell in cells)])
    return "\n".join([f"## {backend}\n", *(f"| {' | '.join(row)} |" for row in rows), ""])


def _shown(cell: Cell | None, numbers: Mapping[str, int]) -> str:
    if cell is None:
        return "not run"
    return f"reason {numbers[cell.reason]}" if cell.reason else f"verified {cell.error:.0e}"


def _parsed(text: str, reasons: Mapping[str, str]) -> Cell | None:
    kind, _, value = text.partition(" ")
    if kind == "verified":
        return Cell(error=float(value))
    return Cell(reason=reasons[value].replace("\\", "")) if kind == "reason" else None


def _numbered(matrix: Mapping[tuple[str, str, str], Cell]) -> dict[str, int]:
    order = [matrix.get((m, b, f)) for b in BACKENDS for m in MODELS for f in FORMATS]
    reasons = dict.fromkeys(cell.reason for cell in order if cell and cell.reason)
    return {reason: number for number, reason in enumerate(reasons, 1)}


def _counts(matrix: Mapping[tuple[str, str, str], Cell]) -> str:
    """Return how many cells are verified, backend by backend."""
    rows = [["verified of run", *FORMATS], ["---"] * (1 + len(FORMATS))]
    for backend in BACKENDS:
        found = [
            [cell for (_, b, f), cell in matrix.items() if (b, f) == (backend, format)] for format in FORMATS
        ]
        rows.append([backend, *(f"{sum(not c.reason for c in cells)} of {len(cells)}" for cells in found)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _escaped(reason: str) -> str:
    return re.sub(r"([_*<|`])", r"\\\1", reason.replace("\\", ""))

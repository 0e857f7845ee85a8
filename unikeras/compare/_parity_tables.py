"""A parity report as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from unikeras.compare._distances import PHASES


def tables(report: Any) -> Any:
    """Return the sides, the layers, the verdict and the notes as one `rich` renderable."""
    from rich.console import Group
    from rich.text import Text

    style = "green" if report.equal else "bold red"
    parts = [_sides(report), _layers(report), Text(report.verdict, style=style)]
    return Group(*parts, *(Text(f"note: {note}") for note in report.notes))


def _sides(report: Any) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=f"parity of {report.model} (rtol {report.rtol:g}, atol {report.atol:g})", title_justify="left"
    )
    for heading in ("side", "versions", "seconds", "loss before each step"):
        table.add_column(heading, overflow="fold")
    for side in report.sides:
        table.add_row(*map(Text, side_cells(side)))
    return table


def side_cells(side: Any) -> tuple[str, str, str, str]:
    """Return the texts of one side's row."""
    versions = ", ".join(f"{name} {version}" for name, version in side.versions.items())
    if side.error is not None:
        return side.name, versions, "", f"failed: {side.error}"
    seconds = "" if side.seconds is None else f"{side.seconds:.1f}"
    return side.name, versions, seconds, ", ".join(f"{loss:.6g}" for loss in side.losses)


def _layers(report: Any) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(caption="max abs / relative / ulps of the largest value", caption_justify="left")
    for heading in ("layer", "class", "against", *PHASES, "alone"):
        table.add_column(heading, overflow="fold")
    for row in report.layers:
        style = "" if all(gap.equal for gap in row.gaps.values()) else "red"
        table.add_row(*(Text(text, style=style) for text in row_cells(row)))
    return table


def row_cells(row: Any) -> tuple[str, ...]:
    """Return the texts of one layer's row; the last says whether the layer differs when it runs alone."""
    alone = {phase: gap.equal_alone for phase, gap in row.gaps.items() if gap.equal_alone is not None}
    differs = [phase for phase, equal in alone.items() if not equal]
    verdict = f"differs: {', '.join(differs)}" if differs else "equal" if alone else ""
    return row.layer, row.kind, row.side, *_cells(row), verdict


def _cells(row: Any) -> Iterator[str]:
    """Yield the text of a layer's distances, one for each phase."""
    for phase in PHASES:
        gap = row.gaps.get(phase)
        yield "" if gap is None else f"{gap.max_abs:.1e} / {gap.max_rel:.1e} / {gap.ulps:.3g}"

"""The report in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from unikeras.apps.demo import outputs


def backends(report: dict[str, Any]) -> RenderableType:
    """Return the table of the backends, and how well their losses agree."""
    compared = report["loss_agreement"] is not None
    difference = ["max |Δ prob.|"] if compared else []
    table = _table("backend", "best epoch", "test accuracy", "95 % interval", "ms/step", *difference)
    for row in report["backends"]:
        if row["error"] is not None:
            table.add_row(row["backend"], Text("failed", "red"))
            continue
        cells = [
            row["backend"],
            str(row["best_epoch"]),
            percent(row["test_accuracy"]),
            interval(row["test_interval"]),
            fixed(row["ms_per_step"]),
        ]
        table.add_row(*cells, *([scientific(row["max_probability_difference"])] if compared else []))
    agreement = report["loss_agreement"]
    if agreement is None:
        return Group(table, Text(alone(report)))
    line = Text(agreeing(agreement)) if agreement["agree"] else Text(disagreement(agreement), "red")
    return Group(table, line, Text(predictions(report)))


def alone(report: dict[str, Any]) -> str:
    """Say that there was nothing to compare: one backend finished its training, or none did."""
    names = [row["backend"] for row in report["backends"] if row["error"] is None]
    if not names:
        return "no training finished, so backends were not compared"
    only = "ran" if len(report["backends"]) == 1 else "finished its training"
    return f"only {names[0]} {only}, so its numbers were not compared with another backend's"


def verdict(report: dict[str, Any]) -> str:
    """Say in one sentence each what a run without failures did, and what it did not do."""
    count = len(report["backends"])
    agreement = report["loss_agreement"]
    said = (
        f"Trained on {count} backends, whose losses agree."
        if agreement
        else f"Trained on {report['backends'][0]['backend']} alone; backends were not compared."
    )
    exported = [row for row in report["artifacts"] if row["status"] == "verified"]
    missing = [row["format"] for row in report["artifacts"] if row["status"] == "not installed"]
    if exported:
        said += f" {len(exported)} exported {'model' if len(exported) == 1 else 'models'} verified."
    if missing:
        said += f" Not exported, as something they need is not installed: {', '.join(missing)}."
    return said


def predictions(report: dict[str, Any]) -> str:
    """Say for how many test images the backends predict the same class."""
    steps = max(len(row["loss"]) for row in report["backends"])
    return (
        f"after training, when rounding has grown over {steps:,} steps, they predict the same class for "
        f"{report['same_predictions']} of {report['dataset']['test']:,} test images"
    )


def agreeing(agreement: dict[str, Any]) -> str:
    """Say how close the backends' losses are."""
    return (
        f"losses of the first {agreement['steps']} steps agree to "
        f"{agreement['max_relative_difference']:.1e} relative (limit {agreement['limit']:g})"
    )


def disagreement(agreement: dict[str, Any]) -> str:
    """Say which backends' losses differ by more than the limit."""
    largest = agreement["max_relative_difference"]
    found = "are not numbers" if largest is None else f"differ by {largest:.1e} relative"
    return (
        f"{' and '.join(agreement['worst_pair'])}: losses of the first {agreement['steps']} steps {found} "
        f"(limit {agreement['limit']:g})"
    )


def artifacts(report: dict[str, Any]) -> RenderableType:
    """Return the table of the exported models, and below it why formats are missing."""
    table = _table("artifact", "size", "route", "verified at", "max error")
    reasons = []
    for row in report["artifacts"]:
        if row["status"] == "verified":
            name = Text(f"{row['path']} ({row['format']})")
            sizes = ", ".join(map(str, row["verified_at"]))
            table.add_row(name, size(row["size"]), Text(row["route"]), sizes, scientific(row["max_error"]))
        else:
            style = "red" if row["status"] == "failed" else "yellow"
            table.add_row(row["format"], "", Text(row["status"], style))
            reasons.append(Text(f"{row['format']}: {row['error'].splitlines()[0]}", style))
    # Only the route wraps in a narrow terminal, and names longer than a route.
    for column in table.columns:
        column.no_wrap = column.header != "route" and all(len(str(cell)) <= 32 for cell in column.cells)
    return Group(table, *reasons)


def ending(report: dict[str, Any], out: Path) -> RenderableType:
    """Return the last lines: where the files are."""
    places = f"report: {out / outputs.PAGE}   curves: {out / outputs.CURVES}"
    if report["best"] and "path" in report["best"]:
        places += f"   best checkpoint: {report['best']['path']}"
    return Text(places)


def percent(value: float | None) -> str:
    """Return a share from 0 to 1 in percent, or a dash for None."""
    return "-" if value is None else f"{value:.1%}"


def interval(ends: Sequence[float] | None) -> str:
    """Return two shares from 0 to 1 as a range in percent, or a dash for None."""
    return "-" if ends is None else f"{100 * ends[0]:.1f} to {ends[1]:.1%}"


def fixed(value: float | None) -> str:
    """Return a number with two decimals, or a dash for None."""
    return "-" if value is None else f"{value:.2f}"


def significant(value: float | None) -> str:
    """Return a number with three significant digits, or a dash for None."""
    return "-" if value is None else f"{value:.3g}"


def whole(value: float | None) -> str:
    """Return a number without decimals, or a dash for None."""
    return "-" if value is None else f"{value:,.0f}"


def scientific(value: float | None) -> str:
    """Return a small number as 1.2e-07, or a dash for None."""
    return "-" if value is None else f"{value:.1e}"


def size(count: int) -> str:
    """Return a number of bytes, readable."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(head, overflow="fold")
    return table

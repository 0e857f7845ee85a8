"""What the report draws: the curves of a run, as charts for the page and as one picture, curves.png."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unikeras._base.files import whole
from unikeras.apps.demo.agreement import LIMIT, STEPS, relative_difference
from unikeras.apps.demo.chart import Chart

SHOWN = 3 * STEPS  # of the difference: where it grows from rounding to the noise of training
WINDOW = 20  # steps: the loss of a small batch jumps too much to be read
STYLES = ("-", "--", ":")  # the backends' curves lie on each other; see also page.css


def running_mean(values: Sequence[float | None]) -> list[float]:
    """Return the mean of each value and those before it, `WINDOW` at most; NaN where one of them is None."""
    numbers = np.array([np.nan if value is None else value for value in values], "float64")
    return [float(np.mean(numbers[max(0, i + 1 - WINDOW) : i + 1])) for i in range(len(numbers))]


def charts(report: dict[str, Any]) -> list[Chart]:
    """Return the charts of a report, for the backends that came to the end of their training."""
    rows = {row["backend"]: row for row in report["backends"] if row["error"] is None}
    shown = [
        Chart(
            f"Training loss, running mean of {WINDOW} steps",
            "Training loss by step: " + _ends(rows, "loss", "{:.2g}"),
            {name: running_mean(row["loss"]) for name, row in rows.items()},
            "step",
            "loss",
            log=True,
        ),
        Chart(
            "Validation accuracy",
            "Validation accuracy by epoch: " + _ends(rows, "validation_accuracy", "{:.1%}"),
            {name: row["validation_accuracy"] for name, row in rows.items()},
            "epoch",
            "accuracy",
        ),
    ]
    return [*shown, _difference(rows)] if len(rows) > 1 else shown


def _difference(rows: dict[str, Any]) -> Chart:
    losses = {name: [np.nan if loss is None else loss for loss in row["loss"]] for name, row in rows.items()}
    difference = [float(value) for value in relative_difference(losses)[:SHOWN]]
    return Chart(
        f"Difference of the losses, first {SHOWN} steps",
        "Largest relative difference of the loss between two backends by step; over the first "
        f"{STEPS} steps at most {np.max(difference[:STEPS], initial=0.0):.1e}, with a limit of {LIMIT:g}",
        {"largest between two backends": difference},
        "step",
        "relative difference",
        log=True,
        limit=(LIMIT, f"limit for steps 1 to {STEPS}"),
    )


def _ends(rows: dict[str, Any], key: str, form: str) -> str:
    ends = {name: row[key][-1] if row[key] else None for name, row in rows.items()}
    return ", ".join(
        f"{name} ends at {'?' if end is None else form.format(end)}" for name, end in ends.items()
    )


def save(shown: Sequence[Chart], path: Path) -> None:
    """Draw charts side by side into a PNG file, written atomically."""
    # The object interface: pyplot would keep the figure, and choose a backend, for the whole process.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5 * max(1, len(shown)), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, chart in zip(figure.subplots(1, max(1, len(shown)), squeeze=False)[0], shown, strict=True):
        _draw(axes, chart)
    with whole(path) as temporary:
        figure.savefig(temporary, dpi=150)


def _draw(axes: Any, chart: Chart) -> None:
    for number, (name, curve) in enumerate(chart.curves.items()):
        values = [np.nan if value is None else value for value in curve]
        across = range(chart.start, chart.start + len(values))
        axes.plot(across, values, STYLES[number % len(STYLES)], label=name, linewidth=1.4)
    if chart.log and any(value and value > 0 for curve in chart.curves.values() for value in curve):
        axes.set_yscale("log", nonpositive="mask")
    if chart.limit:
        axes.axhline(chart.limit[0], color="0.5", linewidth=1, label=chart.limit[1])
    axes.set(title=chart.title, xlabel=chart.x, ylabel=chart.y)
    axes.grid(alpha=0.25)
    if chart.curves:
        axes.legend(frameon=False)

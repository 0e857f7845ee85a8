"""What the report draws: the curves of a run as charts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unikeras.apps.demo.agreement import LIMIT, STEPS, relative_difference
from unikeras.apps.demo.chart import Chart

SHOWN = 3 * STEPS  # steps of the difference to show: from rounding to the noise of training
WINDOW = 20  # steps: the loss of one small batch is too noisy to read


def running_mean(values: Sequence[float | None]) -> list[float]:
    """Return the mean of each value and those before it, `WINDOW` at most; NaN where one of them is None."""
    numbers = np.array([np.nan if value is None else value for value in values], "float64")
    return [float(np.mean(numbers[max(0, i + 1 - WINDOW) : i + 1])) for i in range(len(numbers))]


def charts(report: dict[str, Any]) -> list[Chart]:
    """Return the charts of a report, for the backends that finished their training."""
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

"""What the report draws: the curves of a run as charts.

The curves of the backends lie on top of each other where all is well, so a chart draws those of the first backend,
and the differences of the others from it below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unikeras.apps.demo.agreement import LIMIT, STEPS, relative_difference
from unikeras.apps.demo.chart import EPOCH, Chart

SHOWN = 3 * STEPS  # steps of the difference to show: from rounding to the noise of training
WINDOW = 20  # steps: the loss of one small batch is too noisy to read

Rows = Mapping[str, Mapping[str, Any]]


def running_mean(values: Sequence[float | None]) -> list[float]:
    """Return the mean of each value and those before it, `WINDOW` at most; NaN where one of them is None."""
    numbers = _numbers(values)
    return [float(np.mean(numbers[max(0, i + 1 - WINDOW) : i + 1])) for i in range(len(numbers))]


def charts(report: dict[str, Any]) -> list[Chart]:
    """Return the charts of a report, for the backends that finished their training."""
    rows = {row["backend"]: row for row in report["backends"] if row["error"] is None}
    if not rows:
        return []
    per_epoch = max(1, len(next(iter(rows.values()))["loss"]) // report["epochs"])
    drawn = [_loss(rows, per_epoch), _accuracy(rows, report["dataset"]["validation"])]
    if len(rows) > 1:
        drawn.append(_first_steps(rows))
    return [*drawn, _rate_chart(rows, per_epoch)]


def _loss(rows: Rows, per_epoch: int) -> Chart:
    first, row = next(iter(rows.items()))
    means = {name: running_mean(row["loss"]) for name, row in rows.items()}
    return Chart(
        "Loss",
        f"Training loss by epoch: {_ends(rows, 'loss', '{:.2g}')}. "
        f"Validation loss: {_ends(rows, 'validation_loss', '{:.2g}')}",
        {f"training, {WINDOW}-step mean": means[first]},
        EPOCH,
        "loss",
        log=True,
        per_unit=per_epoch,
        dots={"validation": row["validation_loss"]},
        band=_band(means),
        mark=_best(row),
        below=_loss_differences(rows, first, per_epoch),
    )


def _loss_differences(rows: Rows, first: str, per_epoch: int) -> Chart | None:
    differences = {
        name: running_mean(_relative({first: rows[first], name: row}))
        for name, row in rows.items()
        if name != first
    }
    if not differences:
        return None
    y = f"relative difference\nfrom {first}"
    return Chart("", "", differences, EPOCH, y, log=True, per_unit=per_epoch, first=1)


def _accuracy(rows: Rows, images: int) -> Chart:
    first, row = next(iter(rows.items()))
    values = {name: row["validation_accuracy"] for name, row in rows.items()}
    others = {
        name: [images * float(mine - its) for mine, its in zip(curve, values[first], strict=False)]
        for name, curve in values.items()
        if name != first
    }
    below = Chart("", "", {}, EPOCH, f"right images,\nmore than {first}", dots=others, first=1, counts=True)
    return Chart(
        "Accuracy",
        f"Validation accuracy by epoch: {_ends(rows, 'validation_accuracy', '{:.1%}')}",
        {"training": row["train_accuracy"]},
        EPOCH,
        "accuracy",
        dots={"validation": values[first]},
        mark=_best(row),
        below=below if others else None,
    )


def _rate_chart(rows: Rows, per_epoch: int) -> Chart:
    rates = next(iter(rows.values()))["learning_rate"]
    ends = f"from {rates[0]:.1e} to {rates[-1]:.1e}" if rates else "not recorded"
    summary = f"Learning rate by epoch: {ends}"
    return Chart(
        "Learning rate", summary, {"of each step": rates}, EPOCH, "learning rate", per_unit=per_epoch
    )


def _first_steps(rows: Rows) -> Chart:
    difference = _relative(rows)[:SHOWN]
    return Chart(
        f"Difference of the losses, first {len(difference)} steps",
        "Largest relative difference of the loss between two backends by step; over the first "
        f"{STEPS} steps at most {np.max(difference[:STEPS], initial=0.0):.1e}, with a limit of {LIMIT:g}",
        {"largest between two backends": difference},
        "step",
        "relative difference of the loss",
        log=True,
        limit=(LIMIT, f"limit for steps 1 to {STEPS}", STEPS),
    )


def _relative(rows: Rows) -> list[float]:
    return [float(value) for value in relative_difference({n: _numbers(r["loss"]) for n, r in rows.items()})]


def _best(row: Mapping[str, Any]) -> tuple[float, str]:
    return row["best_epoch"], f"best epoch: {row['best_epoch']}"


def _band(curves: Mapping[str, Sequence[float]]) -> tuple[list[float], list[float]]:
    """Return the lowest and the highest of the curves, as far as all go."""
    points = list(zip(*curves.values(), strict=False))
    return [min(values) for values in points], [max(values) for values in points]


def _numbers(values: Sequence[float | None]) -> Any:
    return np.array([np.nan if value is None else value for value in values], "float64")


def _ends(rows: Rows, key: str, form: str) -> str:
    ends = {name: row[key][-1] if row[key] else None for name, row in rows.items()}
    return ", ".join(
        f"{name} ends at {'?' if end is None else form.format(end)}" for name, end in ends.items()
    )

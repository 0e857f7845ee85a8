"""History files as a picture, drawn by matplotlib."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unikeras._base.files import written_atomically
from unikeras._base.optional import require
from unikeras._base.printable import printable
from unikeras.callbacks._history_lines import Run, read_history
from unikeras.errors import ArgumentValueError

_COLORS = ("#0b62c4", "#d1570a", "#0a7d5c", "#8d3bb8", "#b3261e", "#5c6773")
_MOST_PANELS = 24


def plot_history(paths: Any, out: Any, metrics: Sequence[str] = ()) -> Path:
    """Draw history files as a PNG file: a panel for each metric, with the best epoch and where runs were resumed.

    A metric of training and the same of validation (`loss`, `val_loss`) share a panel; several files, and several runs
    of one file, lie over each other. The first 24 metrics are drawn where none are named.

    Args:
        paths: a history file of `HistoryFile`, or several.
        out: the PNG file.
        metrics: names of metrics to draw, without `val_`; all, where there are none.

    Returns:
        The path of the PNG file.

    Raises:
        ArgumentValueError: no epoch was finished, or a metric is in no file.
        ArtifactNotFound: a file is not there.
        CorruptArtifact: a file is no history.
        MissingDependency: matplotlib is not installed.
        OutputError: the PNG file cannot be written.

    Example:
        >>> import pathlib
        >>> lines = ['{"event": "begin"}', '{"event": "epoch", "epoch": 0, "logs": {"loss": 0.5}}', ""]
        >>> _ = pathlib.Path("run.jsonl").write_text(chr(10).join(lines))
        >>> plot_history("run.jsonl", "run.png").stat().st_size > 0
        True
    """
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    figures = require("matplotlib.figure", "plot", "a picture of a history")
    runs = _labelled(paths)
    panels = _panels(list(runs.values()), metrics)
    columns = min(2, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = figures.Figure(figsize=(6 * columns, 0.4 + 3.2 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, panel in zip(axes, panels, strict=False):
        _draw(axis, panel, runs)
    for axis in axes[len(panels) :]:
        axis.axis("off")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=120)
    with written_atomically(Path(out)) as temporary:
        temporary.write_bytes(stream.getvalue())
    return Path(out)


def _labelled(paths: Sequence[Any]) -> Mapping[str, Run]:
    """Return the runs that have epochs, by what the legend calls them; "" where there is one only."""
    found = {}
    for path in paths:
        runs = [run for run in read_history(path) if run.epochs]
        for number, run in enumerate(runs, 1):
            name = str(path) if len(paths) > 1 else ""
            found[f"{name} run {number}".strip() if len(runs) > 1 else name] = run
    if not found:
        raise ArgumentValueError(f"no epoch was finished in {', '.join(map(str, paths)) or 'no file'}")
    return found


def _panels(runs: Sequence[Run], wanted: Sequence[str]) -> list[str]:
    known = list(dict.fromkeys(name.removeprefix("val_") for run in runs for name in run.metrics))
    unknown = [name for name in wanted if name.removeprefix("val_") not in known]
    if unknown or not known:
        raise ArgumentValueError(
            f"no metric {', '.join(map(repr, unknown))} in the history; it has {', '.join(map(repr, known)) or 'none'}"
        )
    known.sort(
        key=lambda name: name == "learning_rate"
    )  # logs begin with it; a reader looks for the loss first
    chosen = list(dict.fromkeys(name.removeprefix("val_") for name in wanted)) or known
    return chosen[:_MOST_PANELS]


def _draw(axis: Any, metric: str, runs: Mapping[str, Run]) -> None:
    for number, (label, run) in enumerate(runs.items()):
        color = _COLORS[number % len(_COLORS)]
        has_validation = f"val_{metric}" in run.metrics
        for name, style in ((metric, "--" if has_validation else "-"), (f"val_{metric}", "-")):
            points = {epoch: logs[name] for epoch, logs in sorted(run.epochs.items()) if name in logs}
            if points:
                kind = "validation" if name != metric else "training" if has_validation else ""
                said = _text(", ".join(filter(None, (label, kind))))
                numbers = [value if math.isfinite(value) else math.nan for value in points.values()]
                marker = "." if len(points) < 30 else ""
                axis.plot(list(points), numbers, style, color=color, label=said, marker=marker, linewidth=1.5)
        _mark(axis, run, f"val_{metric}" if has_validation else metric, color, is_first=number == 0)
    axis.set_title(_text(metric), loc="left", fontsize=10)
    axis.set_xlabel("epoch", fontsize=9)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    if any(text and not text.startswith("_") for text in axis.get_legend_handles_labels()[1]):
        axis.legend(fontsize=8, frameon=False)


def _mark(axis: Any, run: Run, name: str, color: str, is_first: bool) -> None:
    """Mark where a run was best, but for learning rates, and where it was resumed."""
    best = None if name.startswith("learning_rate") else run.best(name)
    if best is not None:
        value = run.epochs[best][name]
        said = f"best {value:.4g}, epoch {best}"
        axis.plot([best], [value], "*", color=color, markersize=13, linestyle="", label=said, zorder=3)
    for i, epoch in enumerate(dict.fromkeys(run.resumed)):
        label = "resumed" if is_first and i == 0 else "_resumed"
        axis.axvline(epoch - 0.5, color=color, linestyle=":", linewidth=1, label=label)


def _text(text: str) -> str:
    """Return a text that matplotlib draws as it is, and not as a formula."""
    return printable(text)[:60].replace("$", r"\$")

"""The relative difference of each layer, drawn by matplotlib."""

from __future__ import annotations

from typing import Any

from unikeras.compare._distances import PHASES

_COLORS = ("#0b62c4", "#d1570a", "#0a7d5c", "#8a3ab9")


def figure(report: Any) -> Any:
    """Return a figure with one chart for each phase: a layer's relative difference, by the order of the layers."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(row.layer for row in report.layers))
    sides = list(dict.fromkeys(row.side for row in report.layers))
    drawn = Figure(figsize=(max(6.0, 0.32 * len(names) + 2), 7.5), layout="constrained")
    for axes, phase in zip(drawn.subplots(len(PHASES), 1, sharex=True), PHASES, strict=True):
        for side, color in zip(sides, _COLORS * len(sides), strict=False):
            points = [
                (names.index(row.layer), max(row.gaps[phase].max_rel, 1e-9), row.gaps[phase].equal)
                for row in report.layers
                if row.side == side and phase in row.gaps
            ]
            if points:
                axes.plot(*zip(*[point[:2] for point in points], strict=True), "o-", color=color, label=side)
            for x, y, equal in points:
                if not equal:
                    axes.plot([x], [y], "X", color="#c00", markersize=11)
        axes.axhline(report.rtol, color="#888", linestyle="--", linewidth=1, label="rtol")
        axes.set_yscale("log")
        axes.set_title(phase, loc="left", fontsize=10)
        axes.set_ylabel("relative difference", fontsize=8)
        axes.grid(alpha=0.3)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    drawn.axes[0].legend(fontsize=8)
    drawn.suptitle(f"parity of {report.model}")
    return drawn

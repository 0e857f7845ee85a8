"""Line charts, drawn by matplotlib: as SVG for the page, and side by side as one PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Curve = Sequence[float | None]
# The backends' curves lie on top of each other: the first is wide and pale, the others are dashed and dotted.
STYLES: tuple[dict[str, Any], ...] = (
    {"color": "#0b62c4", "linestyle": "-", "linewidth": 3, "alpha": 0.55},
    {"color": "#d1570a", "linestyle": "--", "linewidth": 1.6},
    {"color": "#0a7d5c", "linestyle": ":", "linewidth": 1.8},
)
ALONE: dict[str, Any] = {"color": "#0b62c4", "linewidth": 1.5}
INK, EDGE, LIMIT = "#57606a", "#d0d5dc", "#a8201a"


@dataclass(frozen=True)
class Chart:
    """What a chart shows.

    Attributes:
        title: its heading.
        summary: a description for readers who cannot see it.
        curves: values by name, the first at x = 1; None and NaN interrupt a curve.
        x, y: the axes' labels.
        log: whether y is on a logarithmic scale; values without a logarithm interrupt a curve, too.
        limit: a y to mark, with its label.
    """

    title: str
    summary: str
    curves: Mapping[str, Curve]
    x: str
    y: str
    log: bool = False
    limit: tuple[float, str] | None = None


def svg(chart: Chart) -> str:
    """Return a chart as an SVG document without its title; the n-th curve is the group `curve-n`."""
    figure = _figure(1, 3.7, 2.7)
    _draw(figure.subplots(), chart)
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True)
    return stream.getvalue()


def png(charts: Sequence[Chart]) -> bytes:
    """Return charts side by side as a PNG file."""
    figure = _figure(max(1, len(charts)), 5, 3.6)
    for axes, chart in zip(figure.subplots(1, max(1, len(charts)), squeeze=False)[0], charts, strict=False):
        _draw(axes, chart)
        axes.set_title(chart.title)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=150)
    return stream.getvalue()


def _figure(count: int, width: float, height: float) -> Any:
    # Not pyplot, which would keep the figure, and choose a backend, for the whole process.
    from matplotlib.figure import Figure

    return Figure(figsize=(width * count, height), layout="constrained")


def _draw(axes: Any, chart: Chart) -> None:
    styles = STYLES if len(chart.curves) > 1 else [ALONE]
    for number, (name, curve) in enumerate(chart.curves.items()):
        values = np.array(curve, "float64")  # None becomes NaN
        style = styles[number % len(styles)]
        axes.plot(np.arange(1, len(values) + 1), values, label=name, gid=f"curve-{number}", **style)
    if chart.log and any(value and value > 0 for curve in chart.curves.values() for value in curve):
        axes.set_yscale("log", nonpositive="mask")
    if chart.limit:
        axes.axhline(chart.limit[0], color=LIMIT, linestyle=(0, (4, 3)), linewidth=1, label=chart.limit[1])
    axes.set_xlabel(chart.x, color=INK)
    axes.set_ylabel(chart.y, color=INK)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.tick_params(which="both", length=0, colors=INK)
    axes.grid(color=EDGE)
    axes.spines[:].set_visible(False)
    if chart.curves:
        axes.legend(frameon=False, labelcolor=INK)

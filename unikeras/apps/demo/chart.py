"""Charts, drawn by matplotlib: as SVG for the page, and together as one PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Curve = Sequence[float | None]
# By color, line and marker, for readers who do not see the colors. Okabe and Ito's blue, vermilion and green, darkened.
COLORS, LINES, MARKERS = ("#0b62c4", "#b5480a", "#0a7d5c"), ("-", (0, (4, 1.5)), (0, (1, 1))), "osD"
INK, EDGE = "#57606a", "#d0d5dc"
EPOCH = "epoch"
LABELED = 20  # epochs with a label at each tick


@dataclass(frozen=True)
class Chart:
    """What a chart shows.

    Attributes:
        title: its heading.
        summary: a description for readers who cannot see it.
        curves: values by name; None and NaN interrupt a curve.
        x, y: the axes' labels.
        log: whether y is on a logarithmic scale; values without a logarithm interrupt a curve, too.
        limit: a y to mark, with its label, and up to which x.
        per_unit: the number of a curve's values in one unit of x; the n-th is at n / per_unit.
        dots: one value for each unit of x, by name, drawn as dots; of several names side by side.
        mark: an x to mark, with its label.
        band: the lowest and the highest of what a curve stands for, drawn behind it.
        first: the number, among all colors, of the first color.
        counts: whether the values are whole numbers around 0.
        below: a chart to draw below, with the same x.
    """

    title: str
    summary: str
    curves: Mapping[str, Curve]
    x: str
    y: str
    log: bool = False
    limit: tuple[float, str, float] | None = None
    per_unit: int = 1
    dots: Mapping[str, Curve] = field(default_factory=dict)
    mark: tuple[float, str] | None = None
    band: tuple[Curve, Curve] | None = None
    first: int = 0
    counts: bool = False
    below: Chart | None = None


def svg(chart: Chart) -> str:
    """Return a chart as an SVG document without its title; the n-th curve is the group `curve-n`."""
    figure = _figure(4.8, 3.7)
    _draw(figure, chart)
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True)
    return stream.getvalue()


def png(charts: Sequence[Chart]) -> bytes:
    """Return charts as a PNG file, two side by side."""
    rows = max(1, -(-len(charts) // 2))
    figure = _figure(11, 4.4 * rows)
    places = figure.subfigures(rows, 2, squeeze=False).flat
    for place, chart in zip(places, charts, strict=False):
        place.suptitle(chart.title)
        _draw(place, chart)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=150)
    return stream.getvalue()


def _figure(width: float, height: float) -> Any:
    # Not pyplot, which would keep the figure, and choose a backend, for the whole process.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _draw(figure: Any, chart: Chart) -> None:
    if chart.below is None:
        _draw_one(figure.subplots(), chart)
        return
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    _draw_one(upper, chart)
    upper.set_xlabel("")
    _draw_one(lower, chart.below)
    figure.align_ylabels()


def _draw_one(axes: Any, chart: Chart) -> None:
    if chart.band:
        low, high = (np.array(edge, "float64") for edge in chart.band)
        axes.fill_between(_places(low, chart), low, high, color=COLORS[0], alpha=0.25, linewidth=0)
    for number, (name, curve) in enumerate(chart.curves.items()):
        values = np.array(curve, "float64")  # None becomes NaN
        style = {**_style(number + chart.first), "label": name, "gid": f"curve-{number}"}
        axes.plot(_places(values, chart), values, linewidth=1.6, **style)
    for number, (name, curve) in enumerate(chart.dots.items()):
        _dot(axes, chart, number, name, np.array(curve, "float64"))
    everything = [value for curve in (*chart.curves.values(), *chart.dots.values()) for value in curve]
    if chart.log and any(value and value > 0 for value in everything):
        axes.set_yscale("log", nonpositive="mask")
    if chart.limit:
        y, label, end = chart.limit
        axes.plot([0, end], [y, y], color=INK, linewidth=2.2, solid_capstyle="butt", label=label)
    if chart.mark:
        x, label = chart.mark
        axes.axvline(x, color=INK, linestyle=(0, (1, 2)), linewidth=1.2, label=label)
    _finish(axes, chart)


def _places(values: Any, chart: Chart) -> Any:
    return np.arange(1, len(values) + 1) / chart.per_unit


def _style(number: int) -> dict[str, Any]:
    return {"color": COLORS[number % len(COLORS)], "linestyle": LINES[number % len(LINES)]}


def _dot(axes: Any, chart: Chart, number: int, name: str, values: Any) -> None:
    """Draw dots; those of several names are moved apart, so that equal ones are seen."""
    count = len(chart.dots)
    places = np.arange(1, len(values) + 1) + 0.2 * (number - (count - 1) / 2)
    color = number + chart.first
    style = {"color": COLORS[color % len(COLORS)], "marker": MARKERS[color % len(MARKERS)], "markersize": 4.5}
    axes.plot(places, values, linestyle="" if count > 1 else ":", linewidth=1, label=name, **style)


def _finish(axes: Any, chart: Chart) -> None:
    axes.set_xlabel(chart.x, color=INK)
    axes.set_ylabel(chart.y, color=INK)
    axes.tick_params(which="both", length=0, colors=INK)
    axes.grid(color=EDGE, linewidth=0.8)
    axes.spines[:].set_visible(False)
    if chart.counts:
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.set_ylim(min(-1.5, axes.get_ylim()[0]), max(1.5, axes.get_ylim()[1]))
    if chart.x == EPOCH:
        _tick_epochs(axes, chart)
    else:
        axes.xaxis.get_major_locator().set_params(integer=True)
    if len(axes.get_legend_handles_labels()[0]) > 1 or chart.first:
        above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 3, "borderaxespad": 0.2}
        axes.legend(
            frameon=False, labelcolor=INK, fontsize="small", columnspacing=0.8, handlelength=1.5, **above
        )


def _tick_epochs(axes: Any, chart: Chart) -> None:
    """Set a tick for each epoch, and a label where there is room."""
    from matplotlib.ticker import MultipleLocator

    lengths = [len(curve) / chart.per_unit for curve in chart.curves.values()]
    epochs = max([1.0, *lengths, *(len(curve) for curve in chart.dots.values())])
    every = next(
        step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, int(epochs)) if epochs / step <= LABELED
    )
    axes.xaxis.set_major_locator(MultipleLocator(every))
    if every > 1 and epochs <= 10 * LABELED:
        axes.xaxis.set_minor_locator(MultipleLocator(1))
        axes.tick_params(axis="x", which="minor", length=3, color=EDGE)
    axes.set_xlim(0, epochs + 0.4)

"""Line charts as inline SVG: crisp at every size, coloured by the page's style in light and dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 400, 280
LEFT, RIGHT, TOP, BOTTOM = 60, 12, 12, 44

Curve = Sequence[float | None]


@dataclass(frozen=True)
class Chart:
    """What a chart shows.

    Attributes:
        title: its heading.
        summary: what a reader who cannot see it needs to know.
        curves: values by name; the first stands at x = `start`.
        x, y: the axes' labels.
        log: whether y is on a logarithmic scale; values that have no logarithm are left out.
        start: the x of the first value.
        limit: a y to mark, with its label.
    """

    title: str
    summary: str
    curves: Mapping[str, Curve]
    x: str
    y: str
    log: bool = False
    start: int = 1
    limit: tuple[float, str] | None = None


def svg(chart: Chart) -> str:
    """Return a chart as an SVG element; its n-th curve is of class `line line-n`."""
    ticks_y = _ticks(_shown(chart), chart.log)
    longest = max(map(len, chart.curves.values()), default=0)
    last = max(chart.start + longest - 1, chart.start + 1)
    ticks_x = [tick for tick in _round_ticks(chart.start, last) if tick == int(tick)]
    across = _scale(chart.start, last, LEFT, WIDTH - RIGHT)
    up = _scale(*_span(ticks_y, chart.log), HEIGHT - BOTTOM, TOP)
    position = (lambda value: up(math.log10(value))) if chart.log else up
    parts = [_grid(across, position, ticks_x, ticks_y), _labels(chart)]
    if chart.limit and ticks_y[0] <= chart.limit[0] <= ticks_y[-1]:
        parts.append(_limit(position(chart.limit[0]), chart.limit[1]))
    for number, curve in enumerate(chart.curves.values()):
        data = _path(curve, lambda i: across(chart.start + i), position, chart.log)
        parts.append(f'<path class="line line-{number}" d="{data}"/>')
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(chart.summary)}">'
        f"<title>{escape(chart.title)}</title>{''.join(parts)}</svg>"
    )


def _shown(chart: Chart) -> list[float]:
    values = [v for curve in chart.curves.values() for v in curve if _usable(v, chart.log)]
    return [float(v) for v in values if v is not None] + ([chart.limit[0]] if chart.limit and values else [])


def _usable(value: float | None, log: bool) -> bool:
    return value is not None and math.isfinite(value) and (not log or value > 0)


def _ticks(values: Sequence[float], log: bool) -> list[float]:
    if not values:
        return [0.1, 1.0]
    low, high = min(values), max(values)
    if not log:
        return _round_ticks(low, high if high > low else low + 1)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    step = max(1, math.ceil((last - first) / 6))
    count = max(1, math.ceil((last - first) / step))
    return [10.0 ** (first + i * step) for i in range(count + 1)]


def _round_ticks(low: float, high: float) -> list[float]:
    """Return about five round numbers that begin at or below `low` and end at or above `high`."""
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _span(ticks: Sequence[float], log: bool) -> tuple[float, float]:
    return (math.log10(ticks[0]), math.log10(ticks[-1])) if log else (ticks[0], ticks[-1])


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _grid(
    across: Callable[[float], float],
    position: Callable[[float], float],
    ticks_x: Sequence[float],
    ticks_y: Sequence[float],
) -> str:
    parts = []
    for tick in ticks_y:
        y = position(tick)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="end" x="{LEFT - 6}" y="{y + 4:.1f}">{_number(tick)}</text>')
    for tick in ticks_x:
        if LEFT <= (x := across(tick)) <= WIDTH - RIGHT + 0.5:
            parts.append(f'<text class="middle" x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}">{tick:g}</text>')
    return "".join(parts)


def _number(tick: float) -> str:
    return f"{tick:.3g}" if tick == 0 or abs(tick) >= 0.01 else f"{tick:.0e}".replace("e-0", "e-")


def _labels(chart: Chart) -> str:
    middle = (TOP + HEIGHT - BOTTOM) / 2
    return (
        f'<text class="middle" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}">{escape(chart.x)}</text>'
        f'<text class="middle" transform="translate(11 {middle}) rotate(-90)">{escape(chart.y)}</text>'
    )


def _limit(y: float, label: str) -> str:
    below = 16 if y < TOP + 16 else -6
    return (
        f'<path class="limit" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        f'<text x="{LEFT + 4}" y="{y + below:.1f}">{escape(label)}</text>'
    )


def _path(curve: Curve, across: Callable[[int], float], position: Callable[[float], float], log: bool) -> str:
    """Return the path of a curve, interrupted where a value cannot be shown."""
    parts, pen = [], "M"
    for i, value in enumerate(curve):
        if value is None or not _usable(value, log):
            pen = "M"
            continue
        parts.append(f"{pen}{across(i):.1f} {position(value):.1f}")
        pen = "L"
    return "".join(parts)

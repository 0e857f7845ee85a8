"""A graph as an SVG picture."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from unikeras._base.printable import printable
from unikeras.drawing._folded import Box, Folded
from unikeras.drawing._graphviz_layout import graphviz_layout
from unikeras.drawing._layered_layout import Layout, layered

# What a kind is filled with, and its border, on white and on black.
COLORS = {
    "input": ("#d7e8fb", "#2f6db5"),
    "variable": ("#fdebc8", "#b3740b"),
    "operation": ("#eceef1", "#6b7480"),
    "constant": ("#f6f1fb", "#8d6bb3"),
    "control flow": ("#fbdfe3", "#b8384c"),
    "output": ("#d8f2dd", "#2c8544"),
    "scope": ("#dff3f3", "#21808a"),
}
_LONGEST = 44
_LEGEND, _LEGEND_STEP = 28.0, 104.0


def picture(seen: Folded, title: str) -> str:
    """Return the picture; what is written in it is escaped."""
    layout = graphviz_layout(seen) or layered(seen)
    return "\n".join(_elements(seen, layout, title))


def _elements(seen: Folded, layout: Layout, title: str) -> Iterator[str]:
    width = max(layout.width, _LEGEND_STEP * len(COLORS) + 20)
    height = layout.height + _LEGEND
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" font-family="system-ui, sans-serif" font-size="12" role="img">'
    )
    yield f"<title>{_text(title)}</title>"
    yield '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
    yield 'orient="auto"><path d="M0 0L8 4L0 8z" fill="#8a929c"/></marker></defs>'
    yield f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>'
    yield from _legend()
    yield f'<g transform="translate({(width - layout.width) / 2:.1f} {_LEGEND:.0f})">'
    for scope, (x, y, w, h) in layout.frames.items():
        yield (
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="8" fill="#21808a" '
            f'fill-opacity="0.06" stroke="#21808a" stroke-opacity="0.5"/>'
            f'<text x="{x + 8:.1f}" y="{y + 14:.1f}" fill="#1b6870">{_short(scope[-1])}</text>'
        )
    for edge in seen.edges:
        yield _edge(layout.boxes[edge.source], layout.boxes[edge.target], edge.writes)
    for box in seen.boxes:
        yield _box(box, layout.boxes[box.id])
    yield "</g></svg>"


def _legend() -> Iterator[str]:
    for number, (kind, (fill, border)) in enumerate(COLORS.items()):
        x = 12 + number * _LEGEND_STEP
        yield f'<rect x="{x}" y="8" width="14" height="14" rx="3" fill="{fill}" stroke="{border}"/>'
        yield f'<text x="{x + 20}" y="19" fill="#222">{kind}</text>'


def _edge(start: tuple[float, ...], end: tuple[float, ...], writes: bool) -> str:
    x1, y1 = start[0] + start[2] / 2, start[1] + start[3]
    x2, y2 = end[0] + end[2] / 2, end[1]
    if y2 <= y1:  # back to a store, or between neighbors: from the side
        x1, y1 = start[0] + start[2], start[1] + start[3] / 2
        x2, y2 = end[0] + end[2], end[1] + end[3] / 2
        bend = max(x1, x2) + 30
        path = f"M{x1:.1f} {y1:.1f}C{bend:.1f} {y1:.1f} {bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    else:
        middle = (y1 + y2) / 2
        path = f"M{x1:.1f} {y1:.1f}C{x1:.1f} {middle:.1f} {x2:.1f} {middle:.1f} {x2:.1f} {y2:.1f}"
    dashes = ' stroke="#b3740b" stroke-dasharray="4 3"' if writes else ' stroke="#8a929c"'
    return f'<path d="{path}" fill="none"{dashes} marker-end="url(#arrow)"/>'


def _box(box: Box, place: tuple[float, ...]) -> str:
    x, y, w, h = place
    fill, border = COLORS[box.kind]
    round_ = {"variable": 3, "input": 18, "output": 18}.get(box.kind, 6)
    where = "/".join((*box.scope, box.name))
    store = (
        f'<path d="M{x + 5:.1f} {y:.1f}V{y + h:.1f}M{x + w - 5:.1f} {y:.1f}V{y + h:.1f}" stroke="{border}"/>'
        if box.kind == "variable"
        else ""
    )
    return (
        f"<g><title>{_text(f'{box.kind}: {where} {box.detail}')}</title>"
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="{round_}" fill="{fill}" '
        f'stroke="{border}"/>{store}'
        f'<text x="{x + w / 2:.1f}" y="{y + 17:.1f}" text-anchor="middle" fill="#111">{_short(box.name)}</text>'
        f'<text x="{x + w / 2:.1f}" y="{y + 32:.1f}" text-anchor="middle" font-size="10" fill="#555">'
        f"{_short(box.detail)}</text></g>"
    )


def _short(text: str) -> str:
    return _text(text if len(text) <= _LONGEST else "…" + text[1 - _LONGEST :])


def _text(text: str) -> str:
    return escape(printable(text))

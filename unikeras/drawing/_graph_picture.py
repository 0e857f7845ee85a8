"""A graph as an SVG picture."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from html import escape

from unikeras._base.printable import printable
from unikeras.drawing._folded import Box, Folded
from unikeras.drawing._graphviz_layout import graphviz_layout
from unikeras.drawing._layered_layout import Layout, layered

# The hue of a kind: a border, and a thin fill, which are seen on white and on black.
COLORS = {
    "input": "#2f7fd6",
    "variable": "#c07f10",
    "operation": "#7d8793",
    "constant": "#9a76c4",
    "control flow": "#d1495e",
    "output": "#2f9e4f",
    "scope": "#1f95a0",
}
_BEND = 30.0
_LINE = "#8a929c"
_LONGEST = 60
_LEGEND, _LEGEND_STEP = 28.0, 104.0
# Where the picture is a document of its own. In a page, text has the page's color, and there is no background.
_ALONE = (
    "svg:root{color-scheme:light dark;background:#fff;color:#14181d}"
    "@media(prefers-color-scheme:dark){svg:root{background:#14181d;color:#eef1f4}}"
)


def picture(seen: Folded, title: str) -> str:
    """Return the picture; what is written in it is escaped."""
    layout = graphviz_layout(seen) or layered(seen)
    layout.width = max([layout.width, *_bends(seen, layout)])
    return "\n".join(_elements(seen, layout, title))


def _elements(seen: Folded, layout: Layout, title: str) -> Iterator[str]:
    kinds = [kind for kind in COLORS if any(box.kind == kind for box in seen.boxes)]
    width = max(layout.width, _LEGEND_STEP * len(kinds) + 20)
    height = layout.height + _LEGEND
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" font-family="system-ui, sans-serif" font-size="12" fill="currentColor" role="img">'
    )
    yield f"<title>{_text(title)}</title><style>{_ALONE}</style>"
    yield '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
    yield f'orient="auto"><path d="M0 0L8 4L0 8z" fill="{_LINE}"/></marker></defs>'
    yield from _legend(kinds)
    yield f'<g transform="translate({(width - layout.width) / 2:.1f} {_LEGEND:.0f})">'
    for scope, (x, y, w, h) in layout.frames.items():
        yield (
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="8" fill="{COLORS["scope"]}" '
            f'fill-opacity="0.06" stroke="{COLORS["scope"]}" stroke-opacity="0.5"/>'
            f'<text x="{x + 8:.1f}" y="{y + 14:.1f}" fill="{COLORS["scope"]}">{_short(scope[-1])}</text>'
        )
    yield from _edges(seen, layout)
    for box in seen.boxes:
        yield _box(box, layout.boxes[box.id])
    yield "</g></svg>"


def _legend(kinds: Sequence[str]) -> Iterator[str]:
    for number, kind in enumerate(kinds):
        x = 12 + number * _LEGEND_STEP
        yield f'<rect x="{x}" y="8" width="14" height="14" rx="3" {_colored(kind)}/>'
        yield f'<text x="{x + 20}" y="19">{kind}</text>'


def _colored(kind: str) -> str:
    return f'fill="{COLORS[kind]}" fill-opacity="0.16" stroke="{COLORS[kind]}"'


def _edges(seen: Folded, layout: Layout) -> Iterator[str]:
    """Yield the edges; they do not shine through boxes, whatever is behind the picture."""
    area = f'x="0" y="0" width="{layout.width:.0f}" height="{layout.height:.0f}"'
    holes = "".join(
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="6"/>'
        for x, y, w, h in layout.boxes.values()
    )
    # A page may show several pictures, each with holes of its own.
    name = f"holes{zlib.crc32(holes.encode())}"
    yield f'<mask id="{name}" maskUnits="userSpaceOnUse" {area}><rect {area} fill="#fff"/>'
    yield f'<g fill="#000">{holes}</g></mask>'
    yield f'<g mask="url(#{name})">'
    for edge in seen.edges:
        yield _edge(layout.boxes[edge.source], layout.boxes[edge.target], edge.writes)
    yield "</g>"


def _bends(seen: Folded, layout: Layout) -> Iterator[float]:
    """Yield how far to the right edges bend that go up or sideways."""
    for edge in seen.edges:
        start, end = layout.boxes[edge.source], layout.boxes[edge.target]
        if end[1] <= start[1] + start[3]:
            yield max(start[0] + start[2], end[0] + end[2]) + _BEND


def _edge(start: tuple[float, ...], end: tuple[float, ...], writes: bool) -> str:
    x1, y1 = start[0] + start[2] / 2, start[1] + start[3]
    x2, y2 = end[0] + end[2] / 2, end[1]
    if y2 <= y1:  # back to a store, or between neighbors: from the side
        x1, y1 = start[0] + start[2], start[1] + start[3] / 2
        x2, y2 = end[0] + end[2], end[1] + end[3] / 2
        bend = max(x1, x2) + _BEND
        path = f"M{x1:.1f} {y1:.1f}C{bend:.1f} {y1:.1f} {bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    else:
        middle = (y1 + y2) / 2
        path = f"M{x1:.1f} {y1:.1f}C{x1:.1f} {middle:.1f} {x2:.1f} {middle:.1f} {x2:.1f} {y2:.1f}"
    dashes = f' stroke="{COLORS["variable"]}" stroke-dasharray="4 3"' if writes else f' stroke="{_LINE}"'
    return f'<path d="{path}" fill="none"{dashes} marker-end="url(#arrow)"/>'


def _box(box: Box, place: tuple[float, ...]) -> str:
    x, y, w, h = place
    round_ = {"variable": 3, "input": 18, "output": 18}.get(box.kind, 6)
    where = "/".join((*box.scope, box.label))
    store = (
        f'<path d="M{x + 5:.1f} {y:.1f}v{h}M{x + w - 5:.1f} {y:.1f}v{h}" stroke="{COLORS["variable"]}"/>'
        if box.kind == "variable"
        else ""
    )
    return (
        f"<g><title>{_text(f'{box.kind}: {where} {box.detail}')}</title>"
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="{round_}" {_colored(box.kind)}/>{store}'
        f'<text x="{x + w / 2:.1f}" y="{y + 17:.1f}" text-anchor="middle">{_short(box.label)}</text>'
        f'<text x="{x + w / 2:.1f}" y="{y + 32:.1f}" text-anchor="middle" font-size="10" fill-opacity="0.7">'
        f"{_short(box.detail)}</text></g>"
    )


def _short(text: str) -> str:
    return _text(text if len(text) <= _LONGEST else "…" + text[1 - _LONGEST :])


def _text(text: str) -> str:
    return escape(printable(text))

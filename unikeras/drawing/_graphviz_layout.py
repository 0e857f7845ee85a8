"""Where graphviz's `dot` puts the boxes of a graph, where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict

from unikeras.drawing._folded import Box, Folded
from unikeras.drawing._layered_layout import HEIGHT, MARGIN, TITLE, Layout, width_of

_SECONDS = 5
_PADDING = 6.0  # of a scope around what is in it
_INCH = 72.0


def graphviz_layout(seen: Folded) -> Layout | None:
    """Lay out by `dot`; None where it is not installed, fails, or takes too long."""
    program = shutil.which("dot")
    if program is None or not seen.boxes:
        return None
    try:
        answer = subprocess.run(
            [program, "-Tplain"],
            input=_description(seen),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
        return _layout(answer.stdout, seen)
    except (OSError, subprocess.SubprocessError, ValueError, LookupError):
        return None


def _description(seen: Folded) -> str:
    """Return a graph in dot's language; it holds numbers only, so no name has to be escaped."""
    number = {box.id: f"b{place}" for place, box in enumerate(seen.boxes)}
    lines = ["digraph {", 'node [shape=box fixedsize=true label=""]']
    for box in seen.boxes:
        width = width_of(box.label, box.detail) / _INCH
        lines.append(f"{number[box.id]} [width={width:.3f} height={HEIGHT / _INCH:.3f}]")
    lines += _clusters(seen, number)
    lines += [
        f"{number[edge.source]} -> {number[edge.target]}" + (" [constraint=false]" if edge.writes else "")
        for edge in seen.edges
    ]
    return "\n".join([*lines, "}"])


def _clusters(seen: Folded, number: dict[str, str]) -> list[str]:
    inside: dict[tuple[str, ...], list[Box]] = defaultdict(list)
    scopes: dict[tuple[str, ...], None] = {}
    for box in seen.boxes:
        inside[box.scope].append(box)
        scopes.update(dict.fromkeys(box.scope[: depth + 1] for depth in range(len(box.scope))))
    names = {scope: f"cluster{place}" for place, scope in enumerate(scopes)}

    def written(scope: tuple[str, ...]) -> str:
        below = [written(other) for other in scopes if other[:-1] == scope]
        members = [number[box.id] for box in inside[scope]]
        return f"subgraph {names[scope]} {{ margin={TITLE + _PADDING} {'; '.join([*members, *below])} }}"

    return [written(scope) for scope in scopes if len(scope) == 1]


def _layout(plain: str, seen: Folded) -> Layout:
    """Read what dot says: `graph scale width height`, then `node name x y width height ...`, from the lower left."""
    lines = [line.split() for line in plain.splitlines() if line.strip()]
    height = max(float(words[3]) for words in lines if words[0] == "graph") * _INCH
    centers = {words[1]: (float(words[2]), float(words[3])) for words in lines if words[0] == "node"}
    layout = Layout({}, {})
    for place, box in enumerate(seen.boxes):
        x, y = centers[f"b{place}"]
        width = width_of(box.label, box.detail)
        layout.boxes[box.id] = (x * _INCH - width / 2, height - y * _INCH - HEIGHT / 2, width, HEIGHT)
    _add_frames(layout, seen)
    return _moved(layout)


def _add_frames(layout: Layout, seen: Folded) -> None:
    """Draw each open scope around its boxes and the scopes in it; outer ones come first."""
    inside: dict[tuple[str, ...], list[tuple[float, float, float, float]]] = defaultdict(list)
    for box in seen.boxes:
        inside[box.scope].append(layout.boxes[box.id])
    scopes = dict.fromkeys(
        box.scope[:length] for box in seen.boxes for length in range(1, len(box.scope) + 1)
    )
    frames = {}
    for scope in sorted(scopes, key=len, reverse=True):
        members = inside[scope]
        left, top = min(x for x, *_ in members) - _PADDING, min(y for _, y, *_ in members) - TITLE
        right = max(left + 7.0 * len(scope[-1]) + 16, max(x + w for x, _, w, _ in members) + _PADDING)
        frames[scope] = left, top, right - left, max(y + h for _, y, _, h in members) + _PADDING - top
        inside[scope[:-1]].append(frames[scope])
    layout.frames.update(dict(reversed(frames.items())))


def _moved(layout: Layout) -> Layout:
    """Return a layout whose upper left corner is at 0, with a margin."""
    every = [*layout.boxes.values(), *layout.frames.values()]
    left, top = min(x for x, *_ in every) - MARGIN, min(y for _, y, *_ in every) - MARGIN
    return Layout(
        {id: (x - left, y - top, w, h) for id, (x, y, w, h) in layout.boxes.items()},
        {scope: (x - left, y - top, w, h) for scope, (x, y, w, h) in layout.frames.items()},
        max(x + w for x, _, w, _ in every) - left + MARGIN,
        max(y + h for _, y, _, h in every) - top + MARGIN,
    )

"""Where the boxes of a graph stand: rows by longest path, ordered by the middle of their neighbors, scope by scope.

`graph.html.j2` lays out by the same rules in a browser.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence

from unikeras.drawing._folded import Folded

HEIGHT, GAP, MARGIN, TITLE = 40.0, 24.0, 14.0, 20.0
_ROW_GAP = 34.0
_WIDEST = 12  # boxes in a row; more become several rows
_SWEEPS = 4


@dataclasses.dataclass
class Layout:
    """Positions, from the upper left corner, in pixels.

    Attributes:
        boxes: x, y, width and height by the id of a box.
        frames: the same by scope, for open scopes; outer ones come first.
        width: of all.
        height: of all.
    """

    boxes: dict[str, tuple[float, float, float, float]]
    frames: dict[tuple[str, ...], tuple[float, float, float, float]]
    width: float = 0.0
    height: float = 0.0


def width_of(name: str, detail: str) -> float:
    """Return how wide a box is for what is written in it."""
    return max(70.0, 7.0 * min(max(len(name), len(detail)), 60) + 20)


def layered(seen: Folded) -> Layout:
    """Lay out without any other program."""
    layout = Layout({}, {})
    plan = _Plan(seen)
    layout.width, layout.height = plan.size(())
    plan.place((), 0.0, 0.0, layout)
    return layout


Item = str | tuple[str, ...]  # a box's id, or an open scope


class _Plan:
    """The rows of each scope.

    Args:
        seen: what is laid out.
    """

    def __init__(self, seen: Folded) -> None:
        self._sizes: dict[Item, tuple[float, float]] = {
            box.id: (width_of(box.label, box.detail), HEIGHT) for box in seen.boxes
        }
        self._scope = {box.id: box.scope for box in seen.boxes}
        self._items: dict[tuple[str, ...], dict[Item, None]] = defaultdict(dict)
        for box in seen.boxes:
            for depth in range(len(box.scope)):
                self._items[box.scope[:depth]][box.scope[: depth + 1]] = None
            self._items[box.scope][box.id] = None
        self._edges = self._lifted(seen)
        self._rows: dict[tuple[str, ...], list[list[Item]]] = {}

    def size(self, scope: tuple[str, ...]) -> tuple[float, float]:
        """Return width and height of a scope, and decide its rows."""
        for item in self._items[scope]:
            if isinstance(item, tuple):
                width, height = self.size(item)
                self._sizes[item] = (max(width, 7.0 * len(item[-1]) + 20), height + TITLE)
        rows = self._rows[scope] = _ordered(list(self._items[scope]), self._edges[scope])
        widths = [sum(self._sizes[item][0] + GAP for item in row) - GAP for row in rows]
        heights = [max(self._sizes[item][1] for item in row) for row in rows]
        return max(widths, default=0) + 2 * MARGIN, sum(heights) + _ROW_GAP * (len(rows) - 1) + 2 * MARGIN

    def place(self, scope: tuple[str, ...], x: float, y: float, layout: Layout) -> None:
        """Write the positions of what is in a scope whose corner is known."""
        whole = self._sizes[scope][0] if scope else layout.width
        y += MARGIN
        for row in self._rows[scope]:
            left = x + (whole - sum(self._sizes[item][0] + GAP for item in row) + GAP) / 2
            for item in row:
                width, height = self._sizes[item]
                if isinstance(item, tuple):
                    layout.frames[item] = (left, y, width, height)
                    self.place(item, left, y + TITLE, layout)
                else:
                    layout.boxes[item] = (left, y, width, height)
                left += width + GAP
            y += max(self._sizes[item][1] for item in row) + _ROW_GAP

    def _lifted(self, seen: Folded) -> dict[tuple[str, ...], list[tuple[Item, Item]]]:
        """Return edges by the scope in which both ends are, as edges of the items there."""
        lifted: dict[tuple[str, ...], list[tuple[Item, Item]]] = defaultdict(list)
        for edge in seen.edges:
            if edge.writes:
                continue  # a store stands where it is read
            source, target = self._scope[edge.source], self._scope[edge.target]
            shared = 0
            while source[shared : shared + 1] == target[shared : shared + 1] != ():
                shared += 1
            ends = (
                edge.source if len(source) == shared else source[: shared + 1],
                edge.target if len(target) == shared else target[: shared + 1],
            )
            lifted[source[:shared]].append(ends)
        return lifted


def _ordered(items: Sequence[Item], edges: Sequence[tuple[Item, Item]]) -> list[list[Item]]:
    """Return items in rows; edges against the order in which things run make no rows."""
    number = {item: place for place, item in enumerate(items)}
    pairs = {(a, b) for a, b in edges if number[a] < number[b]}
    before: dict[Item, list[Item]] = defaultdict(list)
    after: dict[Item, list[Item]] = defaultdict(list)
    for a, b in sorted(pairs, key=lambda pair: (number[pair[0]], number[pair[1]])):
        before[b].append(a)
        after[a].append(b)
    rank: dict[Item, int] = {}
    for item in items:
        rank[item] = max((rank[one] + 1 for one in before[item]), default=0)
    for item in reversed(items):  # what nothing leads to stands just above what takes it
        if not before[item] and after[item]:
            rank[item] = min(rank[one] for one in after[item]) - 1
    rows: dict[int, list[Item]] = defaultdict(list)
    for item in items:
        rows[rank[item]].append(item)
    ordered = [rows[level] for level in sorted(rows)]
    place = {item: n for row in ordered for n, item in enumerate(row)}
    for sweep in range(_SWEEPS):
        neighbors = before if sweep % 2 == 0 else after
        for row in ordered if sweep % 2 == 0 else reversed(ordered):
            _sort_by_middle(row, neighbors, place)
    return [row[i : i + _WIDEST] for row in ordered for i in range(0, len(row), _WIDEST)]


def _sort_by_middle(row: list[Item], neighbors: Mapping[Item, list[Item]], place: dict[Item, int]) -> None:
    def middle(item: Item) -> float:
        places = [place[one] for one in neighbors.get(item, ())]
        return sum(places) / len(places) if places else float(place[item])

    row.sort(key=middle)
    place.update({item: number for number, item in enumerate(row)})

"""A graph for a terminal."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from unikeras._base.printable import printable
from unikeras.drawing._folded import Folded

_MOST_SOURCES = 6


def graph_text(seen: Folded, title: str) -> str:
    """Return a line for each box, below the scopes that it is in, with what it takes and what it writes."""
    return "\n".join(printable(line) for line in _lines(seen, title))


def _lines(seen: Folded, title: str) -> Iterator[str]:
    yield title
    names = _unique_names(seen)
    sources: dict[str, list[str]] = defaultdict(list)
    stores: dict[str, list[str]] = defaultdict(list)
    for edge in seen.edges:
        (stores[edge.source] if edge.writes else sources[edge.target]).append(
            names[edge.target] if edge.writes else names[edge.source]
        )
    open_scope: tuple[str, ...] = ()
    for box in seen.boxes:
        shared = 0
        while box.scope[shared : shared + 1] == open_scope[shared : shared + 1] != ():
            shared += 1
        for depth in range(shared, len(box.scope)):
            yield "  " * (depth + 1) + box.scope[depth] + "/"
        open_scope = box.scope
        kind = f"{box.kind}, " if box.kind in ("variable", "control flow") else ""
        closing = "/" if box.kind == "scope" else ""
        line = f"{names[box.id]}{closing}: {kind}{box.detail}".rstrip(", :")
        if taken := sources[box.id]:
            line += f" <- {_listed(taken)}"
        if written := stores[box.id]:
            line += f"; writes {_listed(written)}"
        yield "  " * (len(box.scope) + 1) + line
    if seen.hidden:
        yield f"  ({seen.hidden} casts, reshapes, reads and small constants are left out)"


def _unique_names(seen: Folded) -> dict[str, str]:
    counts: Counter[str] = Counter()
    names = {}
    for box in seen.boxes:
        counts[box.name] += 1
        names[box.id] = box.name if counts[box.name] == 1 else f"{box.name} #{counts[box.name]}"
    return names


def _listed(names: list[str]) -> str:
    more = len(names) - _MOST_SOURCES
    return ", ".join(names[:_MOST_SOURCES]) + (f" and {more} more" if more > 0 else "")

"""What of a graph is shown: bookkeeping left out, and scopes in place of what is in them where there is too much."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from unikeras._specs.graph_nodes import Edge, Graph, Node
from unikeras.drawing._placed import placed

MOST = 120  # boxes of a picture that does not move
_MOST_LOOSE = 400  # nodes of a scope without scopes in it
_MOST_BESIDE = 40  # nodes beside scopes

_OUTSIDE = "outside of layers"


@dataclasses.dataclass(frozen=True)
class Box:
    """One thing that a picture shows.

    Attributes:
        id: of the node, or of the closed scope.
        kind: of the node, or `"scope"`.
        name: what it is called.
        label: the same, without the path of the scope that it stands in.
        detail: dtype and shape, or how many nodes a scope has.
        scope: what it is in.
        count: how many nodes it stands for.
    """

    id: str
    kind: str
    name: str
    label: str
    detail: str
    scope: tuple[str, ...]
    count: int = 1


@dataclasses.dataclass(frozen=True)
class Folded:
    """What a picture shows.

    Attributes:
        boxes: in the order in which they run.
        edges: between them; ids of boxes.
        hidden: how many nodes of bookkeeping are not shown.
    """

    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    hidden: int


def folded(graph: Graph, most: int = MOST) -> Folded:
    """Return what a still picture of a graph shows.

    Args:
        graph: the graph.
        most: how many boxes, where there are scopes to close; large ones are closed first.
    """
    nodes, edges = flat(graph)
    shown = [node for node in nodes if not is_hidden(node)]
    edges = bypass(edges, {node.id for node in nodes} - {node.id for node in shown})
    boxes, place = _closed(shown, opened(shown, most))
    moved = (dataclasses.replace(e, source=place[e.source], target=place[e.target]) for e in edges)
    kept = dict.fromkeys(edge for edge in moved if edge.source != edge.target)
    return Folded(tuple(boxes), tuple(kept), len(nodes) - len(shown))


def opened(nodes: Sequence[Node], most: int) -> set[tuple[str, ...]]:
    """Return the scopes that are open in a picture: small ones first, those of one size together.

    Args:
        nodes: those that are shown.
        most: how many boxes there may be.
    """
    parts: dict[tuple[str, ...], dict[str | tuple[str, ...], None]] = defaultdict(dict)
    for node in nodes:
        for depth in range(len(node.scope)):
            parts[node.scope[:depth]][node.scope[: depth + 1]] = None
        parts[node.scope][node.id] = None
    found: set[tuple[str, ...]] = set()
    count, closed = len(parts[()]), [part for part in parts[()] if isinstance(part, tuple)]
    while closed:
        least = min(len(parts[scope]) for scope in closed)
        smallest = [scope for scope in closed if len(parts[scope]) == least]
        count += (least - 1) * len(smallest)
        if count > most:
            break
        found.update(smallest)
        closed = [scope for scope in closed if scope not in found]
        closed += [part for scope in smallest for part in parts[scope] if isinstance(part, tuple)]
    return found


def flat(graph: Graph) -> tuple[list[Node], list[Edge]]:
    """Return all nodes and edges, those of control flow too: each part is a scope, which its operator leads to."""
    nodes, edges = list(_nodes(graph, "", ())), list(_edges(graph, ""))
    return _gathered(placed(nodes, edges)), edges


def is_hidden(node: Node) -> bool:
    """Say whether a node is only bookkeeping: casts, reshapes, reads, and constants that say shapes and axes."""
    if node.kind == "constant":
        is_number = node.shape is None or math.prod(size or 1 for size in node.shape) == 1
        return is_number or (len(node.shape or ()) == 1 and node.dtype.startswith("int"))
    return node.is_bookkeeping


def bypass(edges: Sequence[Edge], hidden: set[str]) -> list[Edge]:
    """Return the edges of a graph without some nodes: what came to them goes where they led."""
    incoming: dict[str, list[str]] = {id: [] for id in hidden}
    for edge in edges:
        if edge.target in hidden:
            incoming[edge.target].append(edge.source)
    known: dict[str, tuple[str, ...]] = {}

    def sources(start: str) -> tuple[str, ...]:
        waiting = [start]
        while waiting:
            id = waiting[-1]
            missing = [one for one in incoming[id] if one in hidden and one not in known]
            if missing:
                waiting += missing
                continue
            waiting.pop()
            found = (known[one] if one in hidden else (one,) for one in incoming[id])
            known[id] = tuple(dict.fromkeys(one for several in found for one in several))
        return known[start]

    kept: dict[Edge, None] = {}
    for edge in edges:
        if edge.target not in hidden:
            for source in sources(edge.source) if edge.source in hidden else (edge.source,):
                kept[dataclasses.replace(edge, source=source)] = None
    return list(kept)


def detail_of(node: Node) -> str:
    """Return dtype and shape of a node in words; "" where nobody knows."""
    shape = "" if node.shape is None else "(" + ", ".join("?" if n is None else str(n) for n in node.shape)
    closing = (
        ",)" if node.shape is not None and len(node.shape) == 1 else ")" if node.shape is not None else ""
    )
    return f"{node.dtype} {shape}{closing}".strip()


def label_of(node: Node) -> str:
    """Return the name of a node, without the path of the scope that it stands in."""
    *path, last = node.name.split("/")
    return last if path and node.scope[-len(path) :] == tuple(path) else node.name


def box_of(node: Node) -> Box:
    """Return a node as it is shown."""
    return Box(node.id, node.kind, node.name, label_of(node), detail_of(node), node.scope)


def _nodes(graph: Graph, prefix: str, scope: tuple[str, ...]) -> Iterator[Node]:
    for node in graph.nodes:
        own = (*scope, *node.scope)
        yield dataclasses.replace(node, id=prefix + node.id, scope=own, graphs=())
        for part, inner in node.graphs:
            yield from _nodes(inner, f"{prefix}{node.id}.{part}.", (*own, f"{node.name}: {part}"))


def _edges(graph: Graph, prefix: str) -> Iterator[Edge]:
    for edge in graph.edges:
        yield dataclasses.replace(edge, source=prefix + edge.source, target=prefix + edge.target)
    for node in graph.nodes:
        for part, inner in node.graphs:
            below = f"{prefix}{node.id}.{part}."
            yield from _edges(inner, below)
            for one in inner.nodes:
                if one.kind == "input":
                    yield Edge(prefix + node.id, below + one.id)


def _gathered(nodes: Sequence[Node]) -> list[Node]:
    """Return nodes with those in a scope of their own that stand beside scopes, where they are many."""
    loose = Counter(node.scope for node in nodes if _is_loose(node) and not is_hidden(node))
    parents = {node.scope[:depth] for node in nodes for depth in range(len(node.scope))}
    many = {
        scope for scope, count in loose.items() if count > (_MOST_BESIDE if scope in parents else _MOST_LOOSE)
    }
    return [
        dataclasses.replace(node, scope=(*node.scope, _OUTSIDE))
        if node.scope in many and _is_loose(node)
        else node
        for node in nodes
    ]


def _is_loose(node: Node) -> bool:
    return node.kind not in ("input", "output", "variable")


def _closed(nodes: Sequence[Node], open_scopes: set[tuple[str, ...]]) -> tuple[list[Box], dict[str, str]]:
    """Return boxes with all other scopes closed, and for each node the box that shows it."""
    boxes: dict[str, Box] = {}
    place: dict[str, str] = {}
    for node in nodes:
        depth = next((n for n in range(len(node.scope)) if node.scope[: n + 1] not in open_scopes), None)
        if depth is None:
            boxes[node.id] = box_of(node)
            place[node.id] = node.id
            continue
        scope = node.scope[: depth + 1]
        id = "scope " + "/".join(scope)
        count = boxes[id].count + 1 if id in boxes else 1
        detail = f"{count} node{'s' if count > 1 else ''}"
        boxes[id] = Box(id, "scope", scope[-1], scope[-1], detail, scope[:-1], count)
        place[node.id] = id
    return list(boxes.values()), place

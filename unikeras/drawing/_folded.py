"""What of a graph is shown: bookkeeping left out, and scopes in place of what is in them where there is too much."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Sequence

from unikeras._specs.graph_nodes import Edge, Graph, Node

MOST = 120  # boxes of a picture that does not move

_NO_SCOPE = ("outside of layers",)


@dataclasses.dataclass(frozen=True)
class Box:
    """One thing that a picture shows.

    Attributes:
        id: of the node, or of the closed scope.
        kind: of the node, or `"scope"`.
        name: what it is called.
        detail: dtype and shape, or how many nodes a scope has.
        scope: what it is in.
        count: how many nodes it stands for.
    """

    id: str
    kind: str
    name: str
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
        most: how many boxes; scopes are closed, the inner ones first, until there are no more, or only the outer ones.
    """
    nodes, edges = flat(graph)
    shown = [node for node in nodes if not is_hidden(node)]
    edges = bypass(edges, {node.id for node in nodes} - {node.id for node in shown})
    if len(shown) > most:
        shown = [dataclasses.replace(node, scope=node.scope or _outside(node)) for node in shown]
    for depth in range(max((len(node.scope) for node in shown), default=0) + 1, 0, -1):
        boxes, place = _closed(shown, depth)
        if len(boxes) <= most:
            break
    moved = (
        (dataclasses.replace(e, source=place[e.source], target=place[e.target]) for e in edges)
        if shown
        else ()
    )
    kept = dict.fromkeys(edge for edge in moved if edge.source != edge.target)
    return Folded(tuple(boxes) if shown else (), tuple(kept), len(nodes) - len(shown))


def flat(graph: Graph) -> tuple[list[Node], list[Edge]]:
    """Return all nodes and edges, those of control flow too: each part is a scope, which its operator leads to.

    Variables stand in the scope of the layer that they belong to.
    """
    nodes, edges = list(_nodes(graph, "", ())), list(_edges(graph, ""))
    scopes = Counter(
        node.scope for node in nodes if node.kind != "variable" and node.scope[:1] != ("gradient",)
    )
    return [_beside_its_layer(node, list(scopes)) for node in nodes], edges


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


def box_of(node: Node) -> Box:
    """Return a node as it is shown."""
    return Box(node.id, node.kind, node.name, detail_of(node), node.scope)


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


def _beside_its_layer(node: Node, scopes: Sequence[tuple[str, ...]]) -> Node:
    if node.kind != "variable" or not node.scope:
        return node
    length = len(node.scope)
    fitting = [scope for scope in scopes if scope[-length:] == node.scope]
    return dataclasses.replace(node, scope=fitting[0]) if fitting else node


def _outside(node: Node) -> tuple[str, ...]:
    return () if node.kind in ("input", "output") else _NO_SCOPE


def _closed(nodes: Sequence[Node], depth: int) -> tuple[list[Box], dict[str, str]]:
    """Return boxes with the scopes of a depth closed, and for each node the box that shows it."""
    boxes: dict[str, Box] = {}
    place: dict[str, str] = {}
    for node in nodes:
        if len(node.scope) < depth:
            boxes[node.id] = box_of(node)
            place[node.id] = node.id
            continue
        scope = node.scope[:depth]
        id = "scope " + "/".join(scope)
        count = boxes[id].count + 1 if id in boxes else 1
        boxes[id] = Box(id, "scope", scope[-1], f"{count} node{'s' if count > 1 else ''}", scope[:-1], count)
        place[node.id] = id
    return list(boxes.values()), place

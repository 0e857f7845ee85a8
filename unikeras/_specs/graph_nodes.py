"""One neutral graph of a computation: what a backend's program or a model's layers become before they are drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Literal

Kind = Literal["input", "variable", "operation", "constant", "control flow", "output"]
KINDS: tuple[Kind, ...] = ("input", "variable", "operation", "constant", "control flow", "output")


@dataclasses.dataclass(frozen=True)
class Node:
    """One step of a computation, or a place that values come from and go to.

    Attributes:
        id: unique in its graph.
        kind: what it is; a variable is a store, which is read and written.
        name: what its author or the framework calls it.
        operator: the framework's operator, or a layer's class; "" for inputs, variables and outputs.
        shape: of its first output; None for an axis of any size, and for a shape that nobody knows.
        dtype: of its first output; "" where nobody knows.
        scope: the layers that it belongs to, from the outside in.
        is_bookkeeping: whether it only casts, reshapes, reads or copies.
        graphs: what control flow runs inside, by the name of the part, such as `"body"`.

    Example:
        >>> Node("n0", "operation", "dense", "Dense", (None, 2), "float32").shape
        (None, 2)
    """

    id: str
    kind: Kind
    name: str
    operator: str = ""
    shape: tuple[int | None, ...] | None = None
    dtype: str = ""
    scope: tuple[str, ...] = ()
    is_bookkeeping: bool = False
    graphs: tuple[tuple[str, Graph], ...] = ()


@dataclasses.dataclass(frozen=True)
class Edge:
    """A value that goes from one node to another.

    Attributes:
        source: the id of the node that it comes from.
        target: the id of the node that takes it.
        writes: whether it is the new value of a variable.

    Example:
        >>> Edge("n0", "n1").writes
        False
    """

    source: str
    target: str
    writes: bool = False


@dataclasses.dataclass(frozen=True)
class Graph:
    """Nodes, and the values between them.

    Attributes:
        nodes: in the order in which they run.
        edges: the values that go from one node to another.

    Example:
        >>> graph = Graph((Node("a", "input", "x"), Node("b", "output", "y")), (Edge("a", "b"),))
        >>> [node.name for node in graph.walk()]
        ['x', 'y']
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as data for JSON.

        Returns:
            Dictionaries, lists, texts and numbers only.
        """
        nodes = []
        for node in self.nodes:
            plain = {field.name: getattr(node, field.name) for field in dataclasses.fields(node)}
            plain["shape"] = None if node.shape is None else list(node.shape)
            plain["scope"] = list(node.scope)
            plain["graphs"] = {part: graph.to_dict() for part, graph in node.graphs}
            nodes.append(plain)
        return {"nodes": nodes, "edges": [dataclasses.asdict(edge) for edge in self.edges]}

    def walk(self) -> Iterator[Node]:
        """Walk through the graph and those inside it.

        Yields:
            Each node, before those of the graphs inside it.
        """
        for node in self.nodes:
            yield node
            for _, graph in node.graphs:
                yield from graph.walk()


class GraphBuilder:
    """Collects the nodes and edges of a graph; an edge is kept once, and only between nodes that are there."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._edges: dict[Edge, None] = {}

    def add(self, kind: Kind, name: str, inputs: Sequence[str | None] = (), **attributes: Any) -> str:
        """Add a node and the edges that come to it.

        Args:
            kind: of the node.
            name: of the node.
            inputs: ids of nodes; None for a value that no node has.
            **attributes: the others of a `Node`.

        Returns:
            The node's id.
        """
        id = f"n{len(self._nodes)}"
        self._nodes[id] = Node(id, kind, name, **attributes)
        for source in inputs:
            if source is not None:
                self.connect(source, id)
        return id

    def connect(self, source: str, target: str, writes: bool = False) -> None:
        """Add an edge."""
        self._edges[Edge(source, target, writes)] = None

    def build(self) -> Graph:
        """Return what was collected."""
        return Graph(tuple(self._nodes.values()), tuple(self._edges))


def scope_of(path: str) -> tuple[str, ...]:
    """Return a path of names with slashes as a scope."""
    return tuple(part for part in path.split("/") if part)

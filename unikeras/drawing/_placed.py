"""In which scope each node of a picture stands: its layer's, its metric's, a block's; and stores beside their users."""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from unikeras._specs.graph_nodes import Edge, Node

Scope = tuple[str, ...]

# Layers of one block have names such as conv2_block1_1_conv, block_3_expand, block2a_se_squeeze.
_BLOCK = re.compile(r"(.*?block_?\d+[a-z]?)_.+")


def placed(nodes: Sequence[Node], edges: Sequence[Edge]) -> list[Node]:
    """Return nodes with the scopes in which a picture shows them, stores and constants beside what takes them."""
    nodes = _beside_layers(nodes)
    scopes = _Ties(nodes, edges).scopes()
    nodes = [dataclasses.replace(node, scope=_with_blocks(scopes[node.id], node)) for node in nodes]
    return _in_reading_order(nodes, edges)


def _beside_layers(nodes: Sequence[Node]) -> list[Node]:
    """Return nodes with variables in the scope of their layer: its path leaves out the models that call it."""
    layers: dict[Scope, Scope] = {}
    for node in nodes:
        if node.kind != "variable" and node.scope[:1] != ("gradient",):
            for start in range(len(node.scope)):
                layers.setdefault(node.scope[start:], node.scope)
    return [
        dataclasses.replace(node, scope=layers.get(node.scope, node.scope))
        if node.kind == "variable"
        else node
        for node in nodes
    ]


class _Ties:
    """Finds scopes for what has none: beside the store that it writes, the metric that it computes, its only user.

    Args:
        nodes: variables are in their layers' scopes.
        edges: between them.
    """

    def __init__(self, nodes: Sequence[Node], edges: Sequence[Edge]) -> None:
        self._nodes = nodes
        self._scope = {node.id: node.scope for node in nodes}
        self._sources: dict[str, list[str]] = defaultdict(list)
        self._users: dict[str, list[str]] = defaultdict(list)
        self._written: dict[str, list[str]] = defaultdict(list)
        for edge in edges:
            if edge.writes:
                self._written[edge.source].append(edge.target)
            else:
                self._sources[edge.target].append(edge.source)
                self._users[edge.source].append(edge.target)
        with_operations = {node.scope for node in nodes if node.kind == "operation"}
        self._variables = {node.id for node in nodes if node.kind == "variable"}
        self._quiet = {self._scope[id] for id in self._variables} - with_operations - {()}
        written = {id for targets in self._written.values() for id in targets}
        self._metrics = {self._scope[id] for id in written} & self._quiet
        self._free = [node.id for node in nodes if not node.scope and node.kind in ("operation", "constant")]

    def scopes(self) -> Mapping[str, Scope]:
        """Return the scope of each node."""
        for id in self._free:
            read = (
                one for one in self._sources[id] if one in self._variables and self._scope[one] in self._quiet
            )
            self._put(id, self._written[id] or read)
        for id in reversed(self._free):  # what only the state of a metric needs
            self._put(id, self._users[id], self._metrics)
        bare: set[str] = {node.id for node in self._nodes if node.kind == "constant"}
        for id in self._free:  # what a metric makes of its state, and of numbers
            if bare.issuperset(self._sources[id]):
                bare.add(id)
            else:
                self._put(id, (one for one in self._sources[id] if one not in bare), self._metrics)
        for node in self._nodes:
            if node.kind == "constant":
                self._put(node.id, self._users[node.id])
        return self._scope

    def _put(self, id: str, others: Iterable[str], allowed: set[Scope] | None = None) -> None:
        found = {self._scope[one] for one in others}
        if not self._scope[id] and len(found) == 1 and (allowed is None or found <= allowed):
            self._scope[id] = found.pop()


def _with_blocks(scope: Scope, node: Node) -> Scope:
    """Return a scope in which the layers of one block, by their names, are one scope."""
    parts: list[str] = []
    for name in scope:
        block = _BLOCK.fullmatch(name)
        parts += [block[1], name] if block else [name]
    own = _BLOCK.fullmatch(node.name) if node.kind == "operation" else None
    return (*parts, own[1]) if own else tuple(parts)


def _in_reading_order(nodes: Sequence[Node], edges: Sequence[Edge]) -> list[Node]:
    """Return nodes with each store and constant just before the first node of its scope, or that takes it."""
    place = {node.id: number for number, node in enumerate(nodes)}
    first: dict[Scope, int] = {}
    for node in nodes:
        if node.kind not in ("variable", "constant") and node.scope:
            first.setdefault(node.scope, place[node.id])
    taken: dict[str, int] = {}
    for edge in edges:
        if not edge.writes:
            taken[edge.source] = min(taken.get(edge.source, len(nodes)), place[edge.target])

    def position(node: Node) -> tuple[float, int]:
        own = place[node.id]
        if node.kind not in ("variable", "constant"):
            return own, own
        return min(first.get(node.scope, len(nodes)), taken.get(node.id, len(nodes))) - 0.5, own

    return sorted(nodes, key=position)

"""Which values of a graph share memory, and where that memory is written: what every pass asks before it merges two."""

from __future__ import annotations

import functools
import operator
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch.fx import Graph, Node

A = torch.ops.aten

# Its schema names no alias, but its result is a view.
_UNDECLARED_VIEWS = {A._unsafe_view.default}
# They write their running statistics, and their schemas do not say so: positions of the arguments.
_UNDECLARED_WRITES = {
    A.native_batch_norm.default: (3, 4),
    A.cudnn_batch_norm.default: (3, 4),
    A.miopen_batch_norm.default: (3, 4),
}
_ON_NUMBERS = {getattr(operator, name) for name in operator.__all__}


def is_operator(node: Node) -> bool:
    """Say whether a node calls an operator of torch, whose schema says what it shares and writes."""
    return node.op == "call_function" and isinstance(node.target, torch._ops.OpOverload)


def nodes_in(value: object) -> Iterator[Node]:
    """Yield the nodes in an argument: the argument itself, or those of its lists, tuples and dicts."""
    if isinstance(value, Node):
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from nodes_in(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from nodes_in(part)


def is_pure(node: Node) -> bool:
    """Say whether a node only computes: it writes nothing, draws nothing, and returns initialized memory."""
    if node.op != "call_function":
        return False
    if node.target is operator.getitem or not is_operator(node):
        return node.target is operator.getitem
    target = node.target
    return not (
        target._schema.is_mutable
        or target in _UNDECLARED_WRITES
        or torch.Tag.nondeterministic_seeded in target.tags
        or "empty" in target._schema.name
        or "assert" in target._schema.name
        or not target._schema.returns
        or node.is_impure()
    )


class Memory:
    """Owners, writes and uses of the memory of one graph; made anew after a change.

    The owner of a value is the node whose execution allocated it. All inputs have one owner, because a caller may pass
    one tensor twice, or an argument that is a variable; but for those inputs that are said to be distinct.
    """

    def __init__(self, graph: Graph, distinct: Iterable[Node] = ()) -> None:
        self._distinct = frozenset(distinct)
        self.position = {node: index for index, node in enumerate(graph.nodes)}
        self._owners: dict[Node, frozenset[Node]] = {}
        self._writes: dict[Node, list[int]] = defaultdict(list)
        self._last_use: dict[Node, int] = defaultdict(int)
        self._inputs = next((node for node in graph.nodes if node.op == "placeholder"), None)
        self._escaping: set[Node] = set()
        for node in graph.nodes:
            self._add(node)

    def owners(self, node: Node) -> frozenset[Node]:
        """Return the owners of the memory that a value may use; also of nodes that a pass has just made."""
        if node not in self._owners:
            self._owners[node] = self._of(node)
        return self._owners[node]

    def is_own(self, node: Node) -> bool:
        """Say whether a node allocates the memory of its value."""
        return self.owners(node) == {node} and node.op == "call_function"

    def is_constant(self, node: Node) -> bool:
        """Say whether nothing in the graph writes the memory of a value."""
        return not any(self._writes[owner] for owner in self.owners(node))

    def escapes(self, node: Node) -> bool:
        """Say whether the memory of a value is seen outside of the graph."""
        return any(owner in self._escaping or owner.op != "call_function" for owner in self.owners(node))

    def is_returned(self, node: Node) -> bool:
        """Say whether an output of the graph shares the memory of a value."""
        return not self.owners(node).isdisjoint(self._escaping)

    def last_use(self, node: Node) -> int:
        """Return the position of the last node that may use the memory of a value."""
        return max((self._last_use[owner] for owner in self.owners(node)), default=self.position[node])

    def is_written(self, node: Node, after: int, until: int) -> bool:
        """Say whether the memory of a value may be written at a position in `after < position <= until`."""
        return any(after < at <= until for owner in self.owners(node) for at in self._writes[owner])

    def first_write(self, node: Node) -> int | None:
        """Return the position of the first node that may write the memory of a value."""
        return min((at for owner in self.owners(node) for at in self._writes[owner]), default=None)

    def merge(self, copy: Node, source: Node) -> None:
        """Note that a copy now uses the memory of its source."""
        last = self.last_use(copy)
        for node, owners in self._owners.items():
            if copy in owners:
                self._owners[node] = owners - {copy} | self._owners[source]
        for owner in self._owners[source]:
            self._last_use[owner] = max(self._last_use[owner], last)

    def _add(self, node: Node) -> None:
        at = self.position[node]
        arguments = node.all_input_nodes
        for argument in arguments:
            for owner in self._owners[argument]:
                self._last_use[owner] = at
        for written in _written(node):
            for owner in self._owners[written]:
                self._writes[owner].append(at)
        if node.op == "output":
            self._escaping.update(*(self._owners[argument] for argument in arguments))
        self._owners[node] = self._of(node)
        for owner in self._owners[node]:
            self._last_use[owner] = at

    def _of(self, node: Node) -> frozenset[Node]:
        if node.op == "placeholder":
            return frozenset((node if node in self._distinct else self._inputs,))
        shared = set().union(*(self.owners(argument) for argument in _shared(node)))
        return frozenset(shared if shared and not _allocates(node) else {*shared, node})


class _Facts(NamedTuple):
    """What the schema of an operator says of memory: names of arguments, with their positions."""

    written: tuple[tuple[int, str], ...]
    shared: tuple[tuple[int, str], ...]
    allocates: bool


@functools.cache
def _facts(target: Any) -> _Facts:
    schema = target._schema
    places = [(index, argument.name) for index, argument in enumerate(schema.arguments)]
    infos = [argument.alias_info for argument in schema.arguments]
    shared = [place for place, info in zip(places, infos, strict=True) if info is not None]
    written = [place for place, info in zip(places, infos, strict=True) if info is not None and info.is_write]
    if target in _UNDECLARED_VIEWS:
        return _Facts((), (places[0],), allocates=False)
    returns = [result.alias_info for result in schema.returns]
    return _Facts(
        (*written, *(places[index] for index in _UNDECLARED_WRITES.get(target, ()))),
        tuple(shared) if any(info is not None for info in returns) else (),
        allocates=any(info is None for info in returns),
    )


def _given(node: Node, places: tuple[tuple[int, str], ...]) -> Iterator[Node]:
    for index, name in places:
        yield from nodes_in(node.args[index] if index < len(node.args) else node.kwargs.get(name))


def _written(node: Node) -> Iterable[Node]:
    if is_operator(node):
        return _given(node, _facts(node.target).written)
    unknown = node.op in ("call_module", "call_method") or (
        node.op == "call_function" and not _on_numbers(node)
    )
    return node.all_input_nodes if unknown else ()  # unknown code may write all that it is given


def _shared(node: Node) -> Iterable[Node]:
    """Return the arguments whose memory a node's value may share."""
    return _given(node, _facts(node.target).shared) if is_operator(node) else node.all_input_nodes


def _allocates(node: Node) -> bool:
    """Say whether some of what a node returns may be memory of its own."""
    return _facts(node.target).allocates if is_operator(node) else not _on_numbers(node)


def _on_numbers(node: Node) -> bool:
    """Say whether a node is Python on sizes, or takes an element of a list."""
    return node.target in _ON_NUMBERS or getattr(node.target, "__module__", "") == "math"

"""What is computed twice is computed once; what nothing uses is not computed."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch
from torch.fx import Graph, Node
from torch.utils import _pytree

from unikeras.backends.torch.passes._memory import Memory, is_pure


def merge_common(graph: Graph) -> int:
    """Use the first of two equal pure calls for both, where no write between them changes what they read."""
    memory, count = Memory(graph), 0
    first: dict[Hashable, Node] = {}
    for node in list(graph.nodes):
        key = _key(node) if is_pure(node) or node.op == "get_attr" else None
        if key is None:
            continue
        other = first.setdefault(key, node)
        if other is node:
            continue
        if not _may_merge(memory, other, node):
            first[key] = node
            continue
        node.replace_all_uses_with(other)
        graph.erase_node(node)
        count += 1
    return count


def drop_dead_code(graph: Graph) -> int:
    """Drop pure calls whose values nothing uses."""
    count = 0
    for node in reversed(list(graph.nodes)):
        if not node.users and (is_pure(node) or node.op == "get_attr"):
            graph.erase_node(node)
            count += 1
    return count


def _may_merge(memory: Memory, first: Node, second: Node) -> bool:
    start, end = memory.position[first], memory.position[second]
    if any(memory.is_written(read, start, end) for read in second.all_input_nodes):
        return False
    if not memory.owners(second).isdisjoint({second}):  # memory of its own, which then would be shared
        return memory.is_constant(first) and memory.is_constant(second) and not memory.is_returned(second)
    return True


def _key(node: Node) -> Hashable | None:
    """Return what two equal calls have in common; None for arguments that have no hash."""
    leaves, structure = _pytree.tree_flatten((node.args, node.kwargs))
    key = (node.op, node.target, str(structure), tuple(map(_exact, leaves)))
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _exact(leaf: Any) -> Any:
    """Tell 1 from 1.0 and True, and 0.0 from -0.0; equal nodes are the same node."""
    return leaf if isinstance(leaf, (Node, torch.dtype)) else (type(leaf), repr(leaf))

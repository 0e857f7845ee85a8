"""State that is copied, changed in place and written back: the copy is saved where nothing reads the old values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch.fx import Graph, Node

from unikeras.backends.torch.passes._memory import Memory

_CLONE = torch.ops.aten.clone.default


def write_in_place(graph: Graph, states: Sequence[Node], new: Mapping[Node, Node]) -> set[Node]:
    """Let operators that write a copy of a state write the state itself, where its old values are not read after that.

    Args:
        graph: it is changed in place.
        states: the inputs that are states; neither they nor other inputs share memory.
        new: for each state that the program writes, the value that it has at the end.

    Returns:
        The states that hold their new values without being written at the end.
    """
    memory = Memory(graph, distinct=states)
    results = set(graph.output_node().all_input_nodes) - set(new.values())
    done = set()
    for state, copy in new.items():
        if copy.target is _CLONE and copy.args[0] is state and _may_replace(memory, copy, state, results):
            copy.replace_all_uses_with(state)
            graph.erase_node(copy)
            done.add(state)
    return done


def _may_replace(memory: Memory, copy: Node, state: Node, results: set[Node]) -> bool:
    """Say whether the state is read and written no more once its copy is written, and the copy is no result."""
    if not memory.is_own(copy) or not memory.is_constant(state):
        return False
    if any(not memory.owners(copy).isdisjoint(memory.owners(result)) for result in results):
        return False
    first_write = memory.first_write(copy)
    return first_write is None or memory.last_use(state) < first_write

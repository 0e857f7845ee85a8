"""What a traced graph on PyTorch consists of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from unikeras.backends._contract import ProgramContent
from unikeras.backends.torch._neutral_graph import neutral_graph
from unikeras.backends.torch._tracing import Trace
from unikeras.backends.torch.passes._memory import Memory


def look_into(
    module: torch.fx.GraphModule, trace: Trace, given: Sequence[Any], removed: Mapping[str, int]
) -> ProgramContent:
    """Say which variables a program reads and writes, and which operators it runs.

    Args:
        module: the graph that runs, with the tensors that it names.
        trace: what it was made of.
        given: the variables that the graph may write where they are.
        removed: what each pass removed or changed.
    """
    graph = module.graph
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    values = inputs[len(inputs) - len(trace.state) :]
    state = list(zip(trace.state, values, strict=True))
    memory = Memory(graph, distinct=values)
    read = [variable for variable, value in state if value.users]
    changed = {id(variable) for variable, value in state if memory.first_write(value) is not None}
    in_place = [variable for variable in given if id(variable) in changed]
    # An optimizer may change each of its variables, and leaves some as they are.
    unchanged = set(map(id, given)) - changed
    written = [variable for variable in trace.written if id(variable) not in unchanged]
    names = Counter(_name(node.target) for node in _nodes(module) if node.op == "call_function")
    names.pop(_TAKE_APART, None)
    return ProgramContent(
        read,
        written,
        in_place,
        names,
        lambda: str(graph),
        lambda: neutral_graph(module, trace, given),
        removed,
    )


_TAKE_APART = "getitem"  # of what an operator with several results returns


def _nodes(module: torch.fx.GraphModule) -> Iterator[Any]:
    """Yield the nodes of a graph, and of the graphs of the modules in it, each once."""
    for part in module.modules():
        if isinstance(part, torch.fx.GraphModule):
            yield from part.graph.nodes


def _name(target: Any) -> str:
    return str(target) if isinstance(target, torch._ops.OpOverload) else str(target.__name__)

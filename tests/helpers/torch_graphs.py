"""Graphs of ATen operators as the torch backend traces them, and how a simplified one is compared with its original."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch.fx import Graph, GraphModule
from torch.fx.experimental.proxy_tensor import make_fx


def traced(f: Callable[..., object], *inputs: torch.Tensor) -> GraphModule:
    """Trace a function of tensors, which may write them, over fake tensors."""
    graph = make_fx(f, tracing_mode="fake")(*(value.clone() for value in inputs))
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def copied(graph: GraphModule) -> GraphModule:
    """Return a copy that can be changed; the constants are shared."""
    new, nodes = Graph(), {}
    new.output(new.graph_copy(graph.graph, nodes))
    for old, node in nodes.items():
        node.meta = dict(old.meta)
    return GraphModule(graph, new)


def run(graph: GraphModule, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Return what a graph returns, and its inputs as it leaves them."""
    inputs = [value.clone() for value in inputs]
    with torch.no_grad():
        outputs = graph(*inputs)
    return [*(outputs if isinstance(outputs, (list, tuple)) else [outputs]), *inputs]


def count(graph: GraphModule, *targets: object) -> int:
    """Return how many nodes call one of some operators."""
    calls = Counter(node.target for node in graph.graph.nodes if node.op == "call_function")
    return sum(calls[target] for target in targets)


def ulps(values: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> float:
    """Return the largest difference in units of the last place of each tensor's largest value."""
    return max(map(_ulps, values, expected))


def _ulps(value: torch.Tensor, expected: torch.Tensor) -> float:
    if not expected.is_floating_point():
        return 0.0 if torch.equal(value, expected) else float("inf")
    unit = expected.abs().max() * torch.finfo(expected.dtype).eps
    return float((value - expected).abs().max() / unit) if torch.any(value != expected) else 0.0

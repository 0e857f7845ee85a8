"""The strides of a graph's results: callers see those with which it was traced."""

from __future__ import annotations

import torch
from torch.fx import Graph, Node

from unikeras.backends.torch.passes._memory import nodes_in
from unikeras.backends.torch.passes._strides import add_call, is_dense, value

A = torch.ops.aten
Strides = list[tuple[int, ...] | None]


def strides_of_outputs(graph: Graph) -> Strides:
    """Return the strides of the results, None for what is no tensor of known sizes."""
    return [None if (fake := value(node)) is None else fake.stride() for node in _outputs(graph)]


def restore_strides(graph: Graph, strides: Strides) -> None:
    """Add a copy for each result whose strides passes have changed."""
    output = next(iter(reversed(graph.nodes)))
    for node, wanted in zip(_outputs(graph), strides, strict=True):
        fake = value(node)
        if fake is None or wanted is None or fake.stride() == wanted or not is_dense(fake):
            continue
        order = sorted(range(fake.ndim), key=lambda axis: (-wanted[axis], axis))
        call = add_call(graph, A.permute.default, (node, order), before=output)
        copy = add_call(graph, A.contiguous.default, (call,), before=output)
        back = [order.index(axis) for axis in range(fake.ndim)]
        output.replace_input_with(node, add_call(graph, A.permute.default, (copy, back), before=output))


def _outputs(graph: Graph) -> list[Node]:
    return list(nodes_in(next(iter(reversed(graph.nodes))).args))

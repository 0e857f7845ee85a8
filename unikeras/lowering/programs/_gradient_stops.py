"""Gradient stops of an exported graph as operators of ours.

`run_decompositions` inlines `torch.no_grad` regions and drops `detach`: outputs stay right, gradients do not.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from unikeras.lowering.programs._stand_in_operators import stand_in


def keep_stops(module: fx.GraphModule) -> None:
    """Replace `detach`, and stop what leaves a region without gradients, in a graph and those inside it."""
    for graph_module in list(module.modules()):
        if isinstance(graph_module, fx.GraphModule):
            for node in list(graph_module.graph.nodes):
                if node.target in (torch.ops.aten.detach.default, torch.ops.aten.detach_.default):
                    node.target = stand_in("stop")
                elif (
                    node.target is torch.ops.higher_order.wrap_with_set_grad_enabled and node.args[0] is False
                ):
                    _stop_region(graph_module.get_submodule(str(node.args[1].target)))
            graph_module.recompile()


def _stop_region(region: Any) -> None:
    graph = region.graph
    for node in list(graph.nodes):
        if (changed := _changed_in_place(node)) is not None and _base(changed).op == "placeholder":
            with graph.inserting_after(node):
                stopped = _stop(graph, changed)
            with graph.inserting_after(stopped):
                written = graph.call_function(torch.ops.aten.copy_.default, (changed, stopped))
                written.meta = dict(node.meta)
    output = graph.output_node()
    with graph.inserting_before(output):
        stops = {
            value: _stop(graph, value)
            for value in output.all_input_nodes
            if value.op != "placeholder" and isinstance(value.meta.get("val"), torch.Tensor)
        }
    output.args = fx.map_arg(output.args, lambda value: stops.get(value, value))
    region.recompile()


def _stop(graph: fx.Graph, value: fx.Node) -> fx.Node:
    stopped = graph.call_function(stand_in("stop"), (value,))
    stopped.meta = dict(value.meta)
    return stopped


def _changed_in_place(node: fx.Node) -> fx.Node | None:
    schema = getattr(node.target, "_schema", None)
    changed = node.args[0] if schema and schema.is_mutable and node.args else None
    return changed if isinstance(changed, fx.Node) else None


def _base(node: fx.Node) -> fx.Node:
    """Return what a view, or a change in place, is of."""
    while node.op == "call_function" and (schema := getattr(node.target, "_schema", None)):
        if not schema.returns or schema.returns[0].alias_info is None:
            break
        node = node.args[0]
    return node

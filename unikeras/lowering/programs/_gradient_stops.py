"""Gradient stops of an exported graph as operators of ours.

`run_decompositions` inlines `torch.no_grad` regions and drops `detach`: outputs stay right, gradients do not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import fx

from unikeras.lowering.programs._graph_reader import line_of_node
from unikeras.lowering.programs._stand_in_operators import stand_in


class DetachedWrite(Exception):
    """What is written in place through a detached tensor, though gradients flow to it."""


def keep_stops(module: fx.GraphModule, trained: Collection[str] = ()) -> None:
    """Replace `detach`, and stop what leaves a region without gradients, in a graph and those inside it.

    Args:
        module: the graph.
        trained: names of its placeholders that are parameters.

    Raises:
        DetachedWrite: a detached tensor is changed in place, whose base has gradients: torch keeps those of before.
    """
    for graph_module in list(module.modules()):
        if isinstance(graph_module, fx.GraphModule):
            graph = graph_module.graph
            written = _written(graph)
            for node in list(graph.nodes):
                if node.target in (torch.ops.aten.detach.default, torch.ops.aten.detach_.default):
                    if node not in written:
                        node.target = stand_in("stop")
                        continue
                    base = _base(node)
                    if graph_module is module and (base.op != "placeholder" or base.name in trained):
                        raise DetachedWrite(line_of_node(node))
                    _stop_reads(graph, node)
                elif (
                    node.target is torch.ops.higher_order.wrap_with_set_grad_enabled and node.args[0] is False
                ):
                    _stop_region(graph_module.get_submodule(str(node.args[1].target)))
            graph_module.recompile()


def _stop_reads(graph: fx.Graph, detached: fx.Node) -> None:
    """Stop gradients where a detached tensor is read: what is written into it is written into its base too."""
    views = [node for node in graph.nodes if detached in _views(node)]
    for view in views:
        for user in [user for user in view.users if user not in views]:
            with graph.inserting_before(user):
                user.replace_input_with(view, _stop(graph, view))
        if _changed_in_place(view) is not None:
            _stop_change(graph, view)


def _stop_region(region: Any) -> None:
    graph = region.graph
    for node in list(graph.nodes):
        if (changed := _changed_in_place(node)) is not None and _base(changed).op == "placeholder":
            _stop_change(graph, node)
    output = graph.output_node()
    with graph.inserting_before(output):
        stops = {
            value: _stop(graph, value)
            for value in output.all_input_nodes
            if value.op != "placeholder" and isinstance(value.meta.get("val"), torch.Tensor)
        }
    output.args = fx.map_arg(output.args, lambda value: stops.get(value, value))
    region.recompile()


def _stop_change(graph: fx.Graph, node: fx.Node) -> None:
    """Write what a change in place wrote once more, without its gradients."""
    changed = _changed_in_place(node)
    assert changed is not None
    with graph.inserting_after(node):
        stopped = _stop(graph, changed)
    with graph.inserting_after(stopped):
        written = graph.call_function(torch.ops.aten.copy_.default, (changed, stopped))
        written.meta = dict(node.meta)


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
    return list(_views(node))[-1]


def _written(graph: fx.Graph) -> set[fx.Node]:
    """Return what is changed in place, with all that it is a view of."""
    changed = [one for node in graph.nodes if (one := _changed_in_place(node)) is not None]
    return {view for node in changed for view in _views(node)}


def _views(node: fx.Node) -> Iterator[fx.Node]:
    """Yield a node, what it is a view of, and so on."""
    yield node
    while node.op == "call_function" and (schema := getattr(node.target, "_schema", None)):
        if not schema.returns or schema.returns[0].alias_info is None:
            break
        node = node.args[0]
        yield node

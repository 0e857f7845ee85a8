"""A graph of ATen operators, or autograd's own, as a neutral graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.fx.node import map_arg

from unikeras._specs.graph_nodes import Graph, GraphBuilder, scope_of
from unikeras.backends.torch._control_flow import repeat
from unikeras.backends.torch._layer_scopes import scope_of_node
from unikeras.backends.torch._tracing import Trace

_BOOKKEEPING = (
    "alias",
    "clone",
    "contiguous",
    "detach",
    "expand",
    "lift_fresh_copy",
    "permute",
    "reshape",
    "squeeze",
    "t",
    "_to_copy",
    "unsqueeze",
    "_unsafe_view",
    "view",
)
_TAKE_APART = "getitem"  # of what an operator with several results returns


def neutral_graph(module: torch.fx.GraphModule, trace: Trace, given: Sequence[Any]) -> Graph:
    """Return the graph of a program.

    Args:
        module: the graph that runs; its inputs are the arguments, then the values of the state.
        trace: what it was made of.
        given: the variables that it writes where they are; the new values of others are its last outputs.
    """
    builder = GraphBuilder()
    inputs = [node for node in module.graph.nodes if node.op == "placeholder"]
    arguments = len(inputs) - len(trace.state)
    places: dict[Any, str] = {}
    stores: dict[int, str] = {}
    for number, node in enumerate(inputs):
        if number < arguments:
            places[node] = builder.add("input", f"argument {number}", **_described(node))
        else:
            variable = trace.state[number - arguments]
            path = str(getattr(variable, "path", None) or variable.name)
            places[node] = builder.add("variable", path, **_described(node), scope=scope_of(path)[:-1])
            stores[id(variable)] = places[node]
    outputs = _Writer(builder, module).add(places)
    for number, (node, place) in enumerate(outputs[: trace.results]):
        builder.add("output", f"result {number}", [place], **_described(node))
    in_place = set(map(id, given))
    written = [variable for variable in trace.written if id(variable) not in in_place]
    for variable, (_, place) in zip(written, outputs[trace.results :], strict=False):
        if place is not None:
            builder.connect(place, stores[id(variable)], writes=True)
    return builder.build()


class _Writer:
    """Adds the nodes of one module's graph."""

    def __init__(self, builder: GraphBuilder, module: torch.fx.GraphModule) -> None:
        self._builder = builder
        self._module = module

    def add(self, places: dict[Any, str]) -> list[tuple[Any, str | None]]:
        """Add all but the inputs, which have places, and return the outputs with their places."""
        for node in self._module.graph.nodes:
            if node.op == "get_attr":
                value: Any = getattr(self._module, str(node.target), None)
                if not isinstance(value, torch.nn.Module):
                    shape = tuple(value.shape) if isinstance(value, torch.Tensor) else None
                    dtype = str(value.dtype).removeprefix("torch.") if shape is not None else ""
                    places[node] = self._builder.add("constant", "constant", shape=shape, dtype=dtype)
            elif node.op == "call_function":
                self._add_call(node, places)
        output = self._module.graph.output_node().args[0]
        values = output if isinstance(output, list | tuple) else [output]
        return [(value, places.get(value) if isinstance(value, torch.fx.Node) else None) for value in values]

    def _add_call(self, node: Any, places: dict[Any, str]) -> None:
        name = _short_name(node.target)
        if name == _TAKE_APART and node.args[0] in places:
            places[node] = places[node.args[0]]
            return
        graphs = tuple(self._parts(node))
        places[node] = self._builder.add(
            "control flow" if graphs else "operation",
            name,
            [places[one] for one in node.all_input_nodes if one in places],
            operator=str(node.target) if isinstance(node.target, torch._ops.OpOverload) else name,
            scope=scope_of_node(node),
            is_bookkeeping=name in _BOOKKEEPING,
            graphs=graphs,
            **_described(node),
        )
        for changed in _changed(node):
            store = _base(changed)
            if store.op == "placeholder":
                self._builder.connect(places[node], places[store], writes=True)

    def _parts(self, node: Any) -> Iterator[tuple[str, Graph]]:
        holders = [one for one in node.all_input_nodes if one.op == "get_attr"]
        modules = [getattr(self._module, str(one.target), None) for one in holders]
        graphs = [_inner_graph(one) for one in modules if isinstance(one, torch.fx.GraphModule)]
        is_loop = node.target is repeat
        for number, graph in enumerate(graphs):
            yield ("condition", "body")[number] if is_loop else f"branch {number}", graph


def _inner_graph(module: torch.fx.GraphModule) -> Graph:
    builder = GraphBuilder()
    inputs = [node for node in module.graph.nodes if node.op == "placeholder"]
    places = {
        node: builder.add("input", f"argument {n}", **_described(node)) for n, node in enumerate(inputs)
    }
    for number, (node, place) in enumerate(_Writer(builder, module).add(places)):
        builder.add("output", f"result {number}", [place], **_described(node))
    return builder.build()


def _short_name(target: Any) -> str:
    if isinstance(target, torch._ops.OpOverload):
        return str(target).split(".")[-2]
    return str(target.__name__)


def _changed(node: Any) -> list[Any]:
    """Return the nodes whose memory an operator changes."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return []
    changed: list[Any] = []
    named = (
        (argument, node.kwargs[argument.name])
        for argument in schema.arguments
        if argument.name in node.kwargs
    )
    for argument, value in (*zip(schema.arguments, node.args, strict=False), *named):
        if argument.alias_info is not None and argument.alias_info.is_write:
            map_arg(value, changed.append)
    return changed


def _base(node: Any) -> Any:
    """Return the node whose memory a view shows."""
    while node.op == "call_function" and _short_name(node.target) in (
        "view",
        "permute",
        "reshape",
        "t",
        "detach",
    ):
        node = node.args[0]
    return node


def _described(node: Any) -> dict[str, Any]:
    value = node.meta.get("val") if isinstance(node, torch.fx.Node) else None
    if isinstance(value, list | tuple):
        value = next((one for one in value if isinstance(one, torch.Tensor)), None)
    if not isinstance(value, torch.Tensor):
        return {}
    shape = tuple(size if isinstance(size, int) else None for size in value.shape)
    return {"shape": shape, "dtype": str(value.dtype).removeprefix("torch.")}

"""A FuncGraph as a neutral graph."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import tensorflow as tf

from unikeras._specs.graph_nodes import Graph, GraphBuilder, Kind, scope_of

_BOOKKEEPING = (
    "AssignVariableOp",
    "Cast",
    "ExpandDims",
    "Fill",
    "Identity",
    "IdentityN",
    "NoOp",
    "Pack",
    "Prod",
    "Range",
    "Rank",
    "ReadVariableOp",
    "Reshape",
    "Shape",
    "ShapeN",
    "Size",
    "Squeeze",
    "StopGradient",
    "StridedSlice",
    "VariableShape",
    "VarIsInitializedOp",
)
_CONTROL_FLOW = ("If", "StatelessIf", "Case", "StatelessCase", "While", "StatelessWhile")
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_CONSTANTS = ("Const",)
_GRADIENT = "gradient_tape"


def neutral_graph(
    graph: Any, variables: Mapping[str, Any], written_by: Callable[[Any], Collection[str]]
) -> Graph:
    """Return the graph of a program.

    Args:
        graph: a FuncGraph.
        variables: the variables by the names of the operations that stand for their handles.
        written_by: returns the names of those to which an operation's definition gives new values.
    """
    functions = {f.signature.name: f for f in graph.as_graph_def().library.function}
    by_name = {operation.name: operation for operation in graph.get_operations()}
    names = _in_order({name: [t.op.name for t in operation.inputs] for name, operation in by_name.items()})
    builder = GraphBuilder()
    places: dict[str, str] = {}
    arguments = 0
    for operation in map(by_name.__getitem__, names):
        shape, dtype = _described(operation.outputs)
        attributes: dict[str, Any] = {"shape": shape, "dtype": dtype}
        taken = list(operation.inputs)[operation.type == "AssignVariableOp" :]  # it takes no old value
        inputs = [places[tensor.op.name] for tensor in taken]
        variable = variables.get(operation.name)
        if variable is not None:
            path = getattr(variable, "path", None) or variable.name
            attributes = {"shape": tuple(variable.shape), "dtype": tf.as_dtype(variable.dtype).name}
            id = builder.add("variable", path, **attributes, scope=scope_of(path)[:-1])
        elif operation.type == "Placeholder":
            id = builder.add("input", f"argument {arguments}", **attributes)
            arguments += 1
        else:
            id = builder.add(
                _kind(operation.type),
                operation.name.rpartition("/")[2],
                inputs,
                operator=operation.type,
                scope=_scope(operation.name, by_name),
                is_bookkeeping=operation.type in _BOOKKEEPING,
                graphs=_parts(operation.node_def, functions),
                **attributes,
            )
            if any(tensor.op.name in variables for tensor in operation.inputs):
                for name in written_by(operation.node_def):
                    builder.connect(id, places[name], writes=True)
        places[operation.name] = id
    for number, tensor in enumerate(graph.outputs):
        shape, dtype = _described([tensor])
        builder.add("output", f"result {number}", [places[tensor.op.name]], shape=shape, dtype=dtype)
    return builder.build()


def _in_order(inputs: Mapping[str, Sequence[str]]) -> list[str]:
    """Return names, each behind its inputs: a loop takes what its gradient added after it."""
    ordered: dict[str, None] = {}
    waiting: list[str] = list(inputs)[::-1]
    while waiting:
        name = waiting[-1]
        missing = [one for one in inputs[name] if one not in ordered] if name not in ordered else []
        if missing:
            waiting += reversed(missing)
        else:
            ordered[waiting.pop()] = None
    return list(ordered)


def _kind(operator: str) -> Kind:
    if operator in _CONSTANTS:
        return "constant"
    return "control flow" if operator in (*_CONTROL_FLOW, *_CALLS) else "operation"


def _described(tensors: Sequence[Any]) -> tuple[tuple[int | None, ...] | None, str]:
    if not tensors:
        return None, ""
    shape = tensors[0].shape
    return (None if shape.rank is None else tuple(shape.as_list())), tensors[0].dtype.name


def _scope(name: str, names: Collection[str]) -> tuple[str, ...]:
    """Return the layers that an operation belongs to.

    Keras opens the scope of a layer twice, for building and for calling; TensorFlow numbers what comes again. What an
    operation with several parts opens has its name, or that of an operator.
    """
    prefix = f"{_GRADIENT}/" if name.startswith(f"{_GRADIENT}/") else ""
    found: list[str] = ["gradient"] if prefix else []
    path = ""
    for part in name.removeprefix(prefix).split("/")[:-1]:
        path = f"{path}/{part}".lstrip("/")
        layer = re.sub(r"_\d+$", "", part)
        if path in names or hasattr(tf.raw_ops, layer):
            break
        found.append(layer)
    return tuple(found)


def _parts(node: Any, functions: Mapping[str, Any]) -> tuple[tuple[str, Graph], ...]:
    """Return the graphs that control flow runs inside, by their parts' names."""
    if node.op not in (*_CONTROL_FLOW, *_CALLS):
        return ()
    called = {
        name: attribute.func.name for name, attribute in node.attr.items() if attribute.HasField("func")
    }
    for name, attribute in node.attr.items():
        called |= {f"{name} {number}": f.name for number, f in enumerate(attribute.list.func)}
    known = {"cond": "condition", "then_branch": "true", "else_branch": "false", "f": "function"}
    return tuple(
        (known.get(part, part), _inner_graph(functions[name], functions, node.name))
        for part, name in sorted(called.items())
        if name in functions
    )


def _inner_graph(function: Any, functions: Mapping[str, Any], caller: str) -> Graph:
    builder = GraphBuilder()
    places = {
        argument.name: builder.add("input", f"argument {number}", dtype=_dtype(argument.type))
        for number, argument in enumerate(function.signature.input_arg)
    }
    nodes = {node.name: node for node in function.node_def}
    sources = {
        name: [one.partition(":")[0] for one in node.input if not one.startswith("^")]
        for name, node in nodes.items()
    }
    ordered = _in_order({name: [one for one in every if one in nodes] for name, every in sources.items()})
    for node in map(nodes.__getitem__, ordered):
        places[node.name] = builder.add(
            _kind(node.op),
            node.name.rpartition("/")[2],
            [places[one] for one in sources[node.name]],
            operator=node.op,
            dtype=_dtype(node.attr["T"].type),
            scope=_scope(node.name.removeprefix(f"{caller}/"), nodes),
            is_bookkeeping=node.op in _BOOKKEEPING,
            graphs=_parts(node, functions),
        )
    results = [argument.name for argument in function.signature.output_arg]
    for number, name in enumerate(results):
        builder.add("output", f"result {number}", [places[function.ret[name].partition(":")[0]]])
    return builder.build()


def _dtype(number: int) -> str:
    dtype = tf.as_dtype(number).name if number else ""
    return "" if dtype == "resource" else dtype

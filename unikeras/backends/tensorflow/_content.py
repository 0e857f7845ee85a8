"""What a graph on TensorFlow consists of."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import keras

from unikeras.backends._contract import ProgramContent
from unikeras.backends.tensorflow._neutral_graph import neutral_graph

READING = ("ReadVariableOp", "ResourceGather", "Placeholder")
_READING_TOO = (*READING, "ResourceGatherNd", "VariableShape", "VarIsInitializedOp")
_WRITING_ALONE = ("AssignVariableOp",)  # it asks for no old value
_NO_OPERATORS = ("Placeholder", "Const", "NoOp", "Identity")
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")  # what they call is counted, and not they
# Of the inputs of these the first one chooses, and the functions get the others.
_CHOOSING = ("If", "StatelessIf", "Case", "StatelessCase")


def look_into(graph: Any) -> ProgramContent:
    """Say which variables a graph reads and writes, and which operators it runs."""
    definition = graph.as_graph_def()
    functions = {function.signature.name: function for function in definition.library.function}
    scan, variables = _Scan(functions), _variables(graph)
    scan.run(definition.node, {name: name for name in variables})

    def written_by(node: Any) -> set[str]:
        one = _Scan(functions)
        one.run([node], {name: name for name in variables})
        return one.written

    written = [variable for name, variable in variables.items() if name in scan.written]
    read = [variable for name, variable in variables.items() if name in scan.read]
    return ProgramContent(
        read,
        written,
        written,
        scan.operators,
        lambda: _text(definition),
        lambda: neutral_graph(graph, variables, written_by),
    )


class _Scan:
    """Counts the operators of a graph, and sees what they do to the variables.

    Args:
        functions: the definitions of the functions that the graph may call, by name.
    """

    def __init__(self, functions: dict[str, Any]) -> None:
        self._functions = functions
        self.read: set[str] = set()
        self.written: set[str] = set()
        self.operators: Counter[str] = Counter()

    def run(self, nodes: Iterable[Any], handles: dict[str, str]) -> None:
        """Look at nodes; `handles` says for the name of a node which variable it is, by a name of it."""
        handles = dict(handles)
        for node in nodes:
            inputs = [_producer(name) for name in node.input if not name.startswith("^")]
            variables = [handles[name] for name in inputs if name in handles]
            functions = [self._functions[name] for name in _called(node) if name in self._functions]
            if node.op == "Identity":
                handles.update(dict.fromkeys([node.name], variables[0]) if variables else {})
            elif functions:
                self._follow(functions, inputs[node.op in _CHOOSING :], handles)
            else:
                self.read.update(variables if node.op not in _WRITING_ALONE else ())
                self.written.update(variables if node.op not in _READING_TOO else ())
            self.operators.update([node.op] if node.op not in (*_NO_OPERATORS, *_CALLS) else ())

    def _follow(self, functions: Sequence[Any], inputs: Sequence[str], handles: dict[str, str]) -> None:
        for function in functions:
            pairs = zip(function.signature.input_arg, inputs, strict=False)
            known = {argument.name: handles[name] for argument, name in pairs if name in handles}
            self.run(function.node_def, known)


def _producer(name: str) -> str:
    return str(name).partition(":")[0]


def _called(node: Any) -> list[str]:
    """Return the names of the functions that a node calls."""
    attributes = node.attr.values()
    return [a.func.name for a in attributes if a.HasField("func")] + [
        function.name for a in attributes for function in a.list.func
    ]


def _variables(graph: Any) -> dict[str, Any]:
    """Return the variables of a graph by the names of the nodes that stand for their handles."""
    own = {id(variable.handle): variable for variable in graph.variables}
    found = {inner.op.name: own[id(outer)] for outer, inner in graph.captures if id(outer) in own}
    # TensorFlow's variable does not know the one of Keras that holds it.
    holders = gc.get_referrers(*found.values()) if found else []
    keras_variables = {
        id(holder._value): holder for holder in _with_owners(holders) if isinstance(holder, keras.Variable)
    }
    return {name: keras_variables.get(id(variable), variable) for name, variable in found.items()}


def _with_owners(holders: Sequence[Any]) -> list[Any]:
    """Return holders, and the objects whose attributes some of them are."""
    attributes = [holder for holder in holders if isinstance(holder, dict) and "_value" in holder]
    return [*holders, *(gc.get_referrers(*attributes) if attributes else ())]


def _text(definition: Any) -> str:
    """Return one line for each node: what it is called, its operator, its inputs."""
    parts: list[tuple[str, Any]] = [("graph", definition.node)]
    parts += [(f"function {f.signature.name}", f.node_def) for f in definition.library.function]
    return "\n\n".join("\n".join([f"{title}:", *map(_line, nodes)]) for title, nodes in parts)


def _line(node: Any) -> str:
    return f"  {node.name} = {node.op}({', '.join(node.input)})"

"""A Keras model's layers as a neutral graph, the same on every backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unikeras._keras.graph import graph_of, is_graph, layers_of, nodes
from unikeras._specs.graph_nodes import Graph, GraphBuilder
from unikeras.errors import ArgumentValueError

_BOOKKEEPING = ("Cast", "ExpandDims", "Flatten", "GetItem", "Identity", "Permute", "Reshape", "Squeeze")


def layer_graph(model: Any, example: Any = None) -> Graph:
    """Return the graph of a model's layers.

    Args:
        model: a `keras.Model`.
        example: what a model without a graph of its own is called with, symbolically.

    Raises:
        ArgumentValueError: a graph needs an example, or the model cannot be called with symbols.
    """
    graph = layers_of(model, example)
    if graph is None:
        raise ArgumentValueError(
            f"model {model.name!r} has no graph of layers of its own; pass inputs that its call() takes, of shape "
            "(batch, ...), as in uk.graph(model, x), or draw a step of it with step='predict'"
        )
    writer = _Writer()
    writer.add(graph, (), [])
    return writer.builder.build()


class _Writer:
    """Adds the layers of functional graphs."""

    def __init__(self) -> None:
        self.builder = GraphBuilder()

    def add(self, graph: Any, scope: tuple[str, ...], sources: Sequence[str]) -> list[str]:
        """Add a functional graph; the outermost one has no sources, and its inputs and outputs are nodes.

        Returns:
            The nodes of its outputs, in order.
        """
        import keras

        produced: dict[int, str] = dict(zip(map(id, graph.inputs), sources, strict=False))
        for node in nodes(graph):
            operation, outputs = node.operation, keras.tree.flatten(node.outputs)
            if node.is_input:
                if not sources:
                    place = self.builder.add("input", operation.name, **_described(outputs))
                    produced.update(dict.fromkeys(map(id, outputs), place))
                continue
            inputs = [produced[id(tensor)] for tensor in node.input_tensors if id(tensor) in produced]
            inner = graph_of(operation) if is_graph(operation) else None
            if inner is not None and inputs:
                places = self.add(inner, (*scope, operation.name), inputs)
            else:
                kind = type(operation).__name__
                place = self.builder.add(
                    "operation",
                    operation.name,
                    inputs,
                    operator=kind,
                    scope=scope,
                    is_bookkeeping=kind in _BOOKKEEPING,
                    **_described(outputs),
                )
                places = [place] * len(outputs)
            produced.update(zip(map(id, outputs), places, strict=False))
        found = [produced[id(tensor)] for tensor in graph.outputs]
        if not scope:
            for number, (place, tensor) in enumerate(zip(found, graph.outputs, strict=True)):
                self.builder.add("output", f"result {number}", [place], **_described([tensor]))
        return found


def _described(tensors: Sequence[Any]) -> dict[str, Any]:
    import keras

    if not tensors or not hasattr(tensors[0], "shape"):
        return {}
    return {"shape": tuple(tensors[0].shape), "dtype": keras.backend.standardize_dtype(tensors[0].dtype)}

"""A Keras model as a graph of TensorBoard: a node for each call of a layer, a scope for each model inside."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from unikeras._keras.graph import graph_of, is_graph, layers_of, nodes
from unikeras.callbacks._event_file import tensorboardx
from unikeras.errors import ArgumentError, ArgumentValueError


def graph_def(model: Any, batch: Any = None) -> Any:
    """Return the graph of a model as a GraphDef.

    A model without a graph of Keras' is called once with symbolic inputs like `batch`. Where there is no batch, or the
    call needs values, its layers are nodes without edges.

    Args:
        model: a built `keras.Model`.
        batch: inputs of the model, nested arrays or tensors of shape (batch, ...).

    Raises:
        ArgumentError: it is no `keras.Model`.
        ArgumentValueError: it is not built.
    """
    import keras

    if not isinstance(model, keras.Model):
        raise ArgumentError(f"add_graph takes a keras.Model; received {type(model).__qualname__}")
    if not model.built:
        raise ArgumentValueError(
            f"model {model.name!r} is not built; call it once, or build it, before its graph"
        )
    writer = _GraphWriter()
    graph = layers_of(model, batch)
    if graph is None:
        writer.add_layers(model, "")
    else:
        writer.add_graph(graph, "", [])
    return writer.graph


class _GraphWriter:
    """Adds nodes; `graph` is the result."""

    def __init__(self) -> None:
        self._protos = {
            name: tensorboardx(f"proto.{name}_pb2") for name in ("graph", "node_def", "attr_value")
        }
        self._shapes = tensorboardx("proto.tensor_shape_pb2").TensorShapeProto
        self._names: Counter[str] = Counter()
        versions = tensorboardx("proto.versions_pb2").VersionDef(producer=22)
        self.graph = self._protos["graph"].GraphDef(versions=versions)

    def add_graph(self, graph: Any, scope: str, sources: Sequence[str]) -> list[str]:
        """Add the nodes of a functional graph.

        Args:
            graph: from `graph_of`.
            scope: what their names begin with, with its slash; "" for none.
            sources: the nodes that its inputs come from; none for the outermost.

        Returns:
            The nodes of its outputs, in order.
        """
        import keras

        produced: dict[int, str] = dict(zip(map(id, graph.inputs), sources, strict=False))
        for node in nodes(graph):
            inputs = [produced[id(tensor)] for tensor in node.input_tensors if id(tensor) in produced]
            outputs = keras.tree.flatten(node.outputs)
            if node.is_input:
                inputs = [produced[id(tensor)] for tensor in outputs if id(tensor) in produced]
            inner = graph_of(node.operation) if is_graph(node.operation) else None
            if inner is not None:
                names = self.add_graph(inner, f"{scope}{self._unique(scope + node.operation.name)}/", inputs)
            else:
                names = [self._add(scope, node.operation, inputs, outputs)] * len(outputs)
            produced.update(zip(map(id, outputs), names, strict=False))
        return [produced[id(tensor)] for tensor in graph.outputs]

    def add_layers(self, layer: Any, scope: str) -> None:
        """Add a layer's parts as nodes without edges."""
        for part in getattr(layer, "layers", ()):
            if getattr(part, "layers", ()):
                self.add_layers(part, f"{scope}{self._unique(scope + part.name)}/")
            else:
                self._add(scope, part, [], [])

    def _add(self, scope: str, operation: Any, inputs: Sequence[str], outputs: Sequence[Any]) -> str:
        name = scope + self._unique(scope + operation.name)
        self.graph.node.append(
            self._protos["node_def"].NodeDef(
                name=name,
                op=type(operation).__name__,
                input=list(dict.fromkeys(inputs)),
                attr=self._attributes(operation, outputs),
            )
        )
        return name

    def _attributes(self, operation: Any, outputs: Sequence[Any]) -> Mapping[str, Any]:
        attribute = self._protos["attr_value"].AttrValue
        shapes = [
            self._shapes(dim=[self._shapes.Dim(size=-1 if size is None else size) for size in tensor.shape])
            for tensor in outputs
        ]
        attributes = {"_output_shapes": attribute(list=attribute.ListValue(shape=shapes))} if shapes else {}
        dtype = getattr(outputs[0], "dtype", None) if outputs else None
        if dtype is not None:
            attributes["dtype"] = attribute(s=str(dtype).encode())
        if hasattr(operation, "count_params") and operation.built:
            attributes["parameters"] = attribute(i=operation.count_params())
            attributes["trainable"] = attribute(b=operation.trainable)
        return attributes

    def _unique(self, path: str) -> str:
        """Return the last part of a path as a name that nothing else in its scope has."""
        cleaned = re.sub(r"[^\w.\-/]", "_", path, flags=re.ASCII).lstrip("_") or "layer"
        self._names[cleaned] += 1
        count = self._names[cleaned]
        name = cleaned.rpartition("/")[2]
        return name if count == 1 else f"{name}_{count - 1}"

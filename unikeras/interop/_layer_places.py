"""Where the layers of a model stand: their paths, their order, and how their features are arranged.

A Keras model with channels last flattens an image in the order height, width, channels; torch flattens channels,
height, width. So the layers behind `Flatten` have their features in another order, and those before a `Reshape` to an
image, too. This walk over the graph finds where.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from unikeras._keras.graph import graph_of, is_graph, nodes
from unikeras.interop._arrangements import (
    PLAIN,
    Arrangement,
    are_same,
    channels_last_axes,
    flat_order,
    input_arrangement,
    permuted_arrangement,
    spatial_arrangement,
    wants_channels_last,
)
from unikeras.interop._unit_rules import has_rule, own_variables
from unikeras.interop._weight_links import Place

# Layers and operations that leave each feature where it is.
_FUNCTIONS = (
    "Cast",
    "Exp",
    "Negative",
    "Sqrt",
    "Square",
    "Softmax",
    "LogSoftmax",
    "Softplus",
    "Softsign",
    "Mish",
)
_RECTIFIERS = (
    "ReLU",
    "Relu",
    "Relu6",
    "LeakyReLU",
    "LeakyRelu",
    "PReLU",
    "ELU",
    "Elu",
    "Selu",
    "Gelu",
    "Silu",
)
_SIGMOIDS = ("Activation", "Sigmoid", "Tanh", "HardSigmoid", "HardTanh", "Identity", "Masking", "Rescaling")
_NORMS = (
    "BatchNormalization",
    "GroupNormalization",
    "LayerNormalization",
    "RMSNormalization",
    "UnitNormalization",
)
_DROPOUTS = ("Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise", "StochasticDepth", "LayerScale")
_OTHERS = ("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "ActivityRegularization")
ELEMENTWISE = frozenset((*_FUNCTIONS, *_RECTIFIERS, *_SIGMOIDS, *_NORMS, *_DROPOUTS, *_OTHERS))
MERGING = frozenset(("Add", "Average", "Divide", "Maximum", "Minimum", "Multiply", "Subtract", "TrueDivide"))
# The beginnings of the names of layers that have a `data_format` and keep height and width apart.
CONVOLUTIONS = ("Conv", "Depthwise", "Separable")
SPATIAL = (*CONVOLUTIONS, "MaxPool", "AveragePool", "Global", "UpSampling", "ZeroPad", "Cropping")
# What makes new features of all of the old ones.
MIXING = (*CONVOLUTIONS, "Dense", "EinsumDense", "Embedding")


@dataclass
class Places:
    """The layers of a model with weights, in the order in which it runs them.

    Attributes:
        found: one for each layer.
        nodes: the graph's calls of layers and operations, with their paths.
        warnings: where the order of features could not be followed.
    """

    found: list[Place] = field(default_factory=list)
    nodes: list[tuple[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def places_of(model: Any, flatten: Mapping[str, Sequence[int] | None] | None = None) -> Places:
    """Return the layers of a built model.

    Args:
        model: a Keras model.
        flatten: by the path of a layer, the shape (height, width, channels) that its features were flattened from,
            instead of what the graph says; None: they have the same order in torch.
    """
    walk = _Walk()
    walk.model(model, "", None)
    for place in walk.places.found:
        if flatten and place.path in flatten:
            shape = flatten[place.path]
            place.order_in = (
                None if shape is None else flat_order(channels_last_axes(len(shape)), tuple(shape))
            )
    return walk.places


class _Walk:
    def __init__(self) -> None:
        self.places = Places()
        self._by_layer: dict[int, Place] = {}

    def model(self, model: Any, prefix: str, given: list[Arrangement] | None) -> list[Arrangement]:
        """Follow a graph; a layer without one is listed part by part."""
        graph = graph_of(model) if is_graph(model) else None
        if graph is None:
            self._parts(model, prefix)
            return []
        known: dict[int, Arrangement] = {}
        inputs = list(given or [])
        starts = {id(tensor): number for number, tensor in enumerate(graph.inputs)}
        for node in nodes(graph):
            if node.is_input or all(id(tensor) in starts for tensor in node.outputs):
                for tensor in node.outputs:
                    number = starts.get(id(tensor), len(inputs))
                    known[id(tensor)] = inputs[number] if number < len(inputs) else input_arrangement(tensor)
                continue
            arrangements = [known.get(id(tensor), PLAIN) for tensor in node.input_tensors]
            path = f"{prefix}{node.operation.name}"
            results = self._call(node, path, arrangements)
            for tensor, result in zip(node.outputs, [*results, *[PLAIN] * len(node.outputs)], strict=False):
                known[id(tensor)] = result
        return [known.get(id(tensor), PLAIN) for tensor in graph.outputs]

    def _call(self, node: Any, path: str, inputs: list[Arrangement]) -> list[Arrangement]:
        operation = node.operation
        self.places.nodes.append((path, node))
        if is_graph(operation):
            return self.model(operation, f"{path}/", inputs)
        first = inputs[0] if inputs else PLAIN
        shapes = [tuple(tensor.shape[1:]) for tensor in node.input_tensors]
        place = self._place(operation, path, first, shapes[0] if shapes else None)
        out = tuple(node.outputs[0].shape[1:]) if node.outputs else ()
        result = self._after(operation, inputs, shapes, out)
        if type(operation).__name__ in ELEMENTWISE:
            places = result.places if place is None else (*result.places, place)
            return [replace(result, places=places)]
        return [result] if place is None else [Arrangement(result.axes, None, (place,), path)]

    def _place(
        self, operation: Any, path: str, given: Arrangement, shape: tuple[int | None, ...] | None
    ) -> Place | None:
        if not getattr(operation, "weights", None):
            return None
        if id(operation) not in self._by_layer:
            if _is_composite(operation):
                self._parts(operation, f"{path}/")
                return None
            place = Place(path, operation, given.after, given.axes, given.order, None, shape)
            self._by_layer[id(operation)] = place
            self.places.found.append(place)
        return self._by_layer[id(operation)]

    def _after(
        self,
        operation: Any,
        inputs: list[Arrangement],
        shapes: list[tuple[int | None, ...]],
        out: tuple[int | None, ...],
    ) -> Arrangement:
        """Return how the output of a layer or an operation lies."""
        name = type(operation).__name__
        first = inputs[0] if inputs else PLAIN
        if name == "TimeDistributed":
            return self._in_time(operation, first, shapes, out)
        if name in ELEMENTWISE:
            return first
        if getattr(operation, "data_format", None) and name.startswith(SPATIAL):
            return spatial_arrangement(operation.data_format, len(out), first)
        if name in ("Flatten", "Reshape"):
            return self._reshaped(operation, first, shapes[0], out)
        if name in ("Permute", "Transpose"):
            return permuted_arrangement(operation, first, len(out))
        if name in MERGING:
            return first if all(are_same(first, one) for one in inputs[1:]) else self._lost(operation, inputs)
        if name == "Concatenate":
            return self._concatenated(operation, inputs, shapes)
        if name.startswith(MIXING):
            return PLAIN
        return self._lost(operation, inputs)

    def _lost(self, operation: Any, inputs: list[Arrangement]) -> Arrangement:
        if any(one.order is not None for one in inputs):
            self.places.warnings.append(
                f"{operation.name}: the order of flattened features is not known behind this "
                f"{type(operation).__name__}; weights behind it may have their rows in another order"
            )
        return PLAIN

    def _in_time(
        self, layer: Any, given: Arrangement, shapes: list[Any], out: tuple[int | None, ...]
    ) -> Arrangement:
        axes = given.axes
        inner_axes = tuple(axis - 1 for axis in axes[1:]) if axes and axes[0] == 0 else None
        if inner_axes is None and len(shapes[0]) - 1 >= 3:
            inner_axes = channels_last_axes(len(shapes[0]) - 1)
        inner = Arrangement(inner_axes, given.order)
        result = self._after(layer.layer, [inner], [shapes[0][1:]], out[1:])
        outer = None if result.axes is None else (0, *(axis + 1 for axis in result.axes))
        return Arrangement(outer, result.order)

    def _reshaped(
        self, operation: Any, given: Arrangement, shape: tuple[Any, ...], out: tuple[Any, ...]
    ) -> Arrangement:
        if getattr(operation, "data_format", None) == "channels_first" and len(shape) > 1:
            # Keras' Flatten moves the channels to the end first; torch's does not.
            given, shape = Arrangement(channels_last_axes(len(shape))), (*shape[1:], shape[0])
        if shape == out or (len(shape) == len(out) == 1):
            return given
        if len(out) == 1:
            if given.axes is None or None in shape:
                return self._lost(operation, [given]) if given.order is not None else PLAIN
            return Arrangement(None, flat_order(given.axes, shape), after=given.after)
        if len(shape) == 1 and len(out) >= 3 and None not in out and wants_channels_last():
            axes = channels_last_axes(len(out))
            for place in given.places:
                place.order_out = flat_order(axes, out)
            return Arrangement(axes)
        return self._lost(operation, [given])

    def _concatenated(
        self, operation: Any, inputs: list[Arrangement], shapes: list[tuple[Any, ...]]
    ) -> Arrangement:
        if all(len(shape) == 1 for shape in shapes) and any(one.order is not None for one in inputs):
            starts = np.cumsum([0, *(shape[0] for shape in shapes)])
            orders = [
                np.arange(shape[0]) if one.order is None else one.order
                for one, shape in zip(inputs, shapes, strict=True)
            ]
            return Arrangement(
                None, np.concatenate([start + order for start, order in zip(starts, orders, strict=False)])
            )
        first = inputs[0]
        same = all(one.axes == first.axes for one in inputs) and all(one.order is None for one in inputs)
        return Arrangement(first.axes) if same else self._lost(operation, inputs)

    def _parts(self, layer: Any, prefix: str) -> None:
        """List a layer without a graph: its own variables, then its parts."""
        if own_variables(layer):
            self._add(layer, prefix.rstrip("/") or layer.name)
        parts = [one for one in layer._flatten_layers(include_self=False, recursive=False) if one.weights]
        for part in parts:
            path = f"{prefix}{part.name}"
            if is_graph(part):
                self.model(part, f"{path}/", None)
            elif _is_composite(part):
                self._parts(part, f"{path}/")
            else:
                self._add(part, path)
        names = {type(one).__name__ for one in layer._flatten_layers(include_self=False, recursive=False)}
        if "Flatten" in names and any(name.startswith("Conv") for name in names):
            self.places.warnings.append(
                f"{prefix.rstrip('/') or layer.name} has a call() of its own: behind its Flatten, features are taken "
                "to be in torch's order; flatten={'path/of/dense': (height, width, channels)} says otherwise"
            )

    def _add(self, layer: Any, path: str) -> None:
        if id(layer) not in self._by_layer:
            self._by_layer[id(layer)] = place = Place(path, layer)
            self.places.found.append(place)


def _is_composite(layer: Any) -> bool:
    """Say whether a layer is the user's own, so that its parts are looked at; those of Keras have rules."""
    import keras

    if isinstance(layer, keras.Model):
        return True
    inner = [one for one in layer._flatten_layers(include_self=False) if one.weights]
    return bool(inner) and not has_rule(layer)

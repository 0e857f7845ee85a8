"""Where the layers of a model stand: their paths, their order, and how their features are arranged.

A Keras model with channels last flattens an image in the order height, width, channels; torch flattens channels,
height, width. So the layers behind `Flatten` have their features in another order, and those before a `Reshape` to an
image, too. This walk over the graph finds where.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unikeras._keras.graph import graph_of, is_graph, nodes
from unikeras.interop._unit_rules import has_rule, own_variables
from unikeras.interop._weight_links import Array, Place

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


@dataclass(frozen=True)
class Arrangement:
    """How a tensor of the Keras model lies, compared with the tensor of torch that it stands for.

    Attributes:
        axes: for each axis after the batch, which axis after the batch it is in torch; None: all are the same.
        order: for each feature of the last axis, which feature it is in torch; None: all are the same.
        places: the layers whose outputs have had these features since they were made.
        after: the path of the layer that made them, where they were not mixed since.
    """

    axes: tuple[int, ...] | None = None
    order: Array | None = None
    places: tuple[Place, ...] = ()
    after: str = ""


PLAIN = Arrangement()


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
            place.order_in = None if shape is None else _flat_order(_channels_last(len(shape)), tuple(shape))
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
                    known[id(tensor)] = inputs[number] if number < len(inputs) else _of_input(tensor)
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
        if place is None:
            return [result]
        if type(operation).__name__ not in ELEMENTWISE:
            return [Arrangement(result.axes, None, (place,), path)]
        return [Arrangement(result.axes, result.order, (*result.places, place), result.after)]

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
            return _of_spatial(operation.data_format, len(out), first)
        if name in ("Flatten", "Reshape"):
            return self._reshaped(operation, first, shapes[0], out)
        if name in ("Permute", "Transpose"):
            return _permuted(operation, first, len(out))
        if name in MERGING:
            return first if all(_same(first, one) for one in inputs[1:]) else self._lost(operation, inputs)
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
            inner_axes = _channels_last(len(shapes[0]) - 1)
        inner = Arrangement(inner_axes, given.order)
        result = self._after(layer.layer, [inner], [shapes[0][1:]], out[1:])
        outer = None if result.axes is None else (0, *(axis + 1 for axis in result.axes))
        return Arrangement(outer, result.order)

    def _reshaped(
        self, operation: Any, given: Arrangement, shape: tuple[Any, ...], out: tuple[Any, ...]
    ) -> Arrangement:
        if getattr(operation, "data_format", None) == "channels_first" and len(shape) > 1:
            # Keras' Flatten moves the channels to the end first; torch's does not.
            given, shape = Arrangement(_channels_last(len(shape))), (*shape[1:], shape[0])
        if shape == out or (len(shape) == len(out) == 1):
            return given
        if len(out) == 1:
            if given.axes is None or None in shape:
                return self._lost(operation, [given]) if given.order is not None else PLAIN
            return Arrangement(None, _flat_order(given.axes, shape), after=given.after)
        if len(shape) == 1 and len(out) >= 3 and None not in out and _wants_channels_last():
            axes = _channels_last(len(out))
            for place in given.places:
                place.order_out = _flat_order(axes, out)
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


def _wants_channels_last() -> bool:
    import keras

    return bool(keras.config.image_data_format() == "channels_last")


def _of_input(tensor: Any) -> Arrangement:
    rank = len(tensor.shape) - 1
    return Arrangement(_channels_last(rank)) if rank >= 3 and _wants_channels_last() else PLAIN


def _of_spatial(data_format: str, rank: int, given: Arrangement) -> Arrangement:
    if data_format != "channels_last" or rank < 2:
        return PLAIN
    return Arrangement(_channels_last(rank), None, given.places, given.after)


def _channels_last(rank: int) -> tuple[int, ...]:
    """Return where the axes (height, width, channels) are in (channels, height, width).

    Example:
        >>> _channels_last(3)
        (1, 2, 0)
    """
    return (*range(1, rank), 0)


def _flat_order(axes: tuple[int, ...], shape: tuple[int, ...]) -> Array | None:
    """Return, for each feature of a flattened tensor, which feature it is in torch; None where all are the same.

    Example:
        >>> _flat_order((1, 0), (2, 3)).tolist()
        [0, 2, 4, 1, 3, 5]
    """
    sizes = [0] * len(axes)
    for size, axis in zip(shape, axes, strict=True):
        sizes[axis] = size
    order = np.arange(math.prod(shape)).reshape(sizes).transpose(axes).reshape(-1)
    return None if np.array_equal(order, np.arange(order.size)) else order


def _permuted(operation: Any, given: Arrangement, rank: int) -> Arrangement:
    if hasattr(operation, "dims"):
        dims = [dim - 1 for dim in operation.dims]
    else:
        axes = operation.axes or (0, *reversed(range(1, rank + 1)))
        if axes[0] != 0:
            return PLAIN
        dims = [axis - 1 for axis in axes[1:]]
    before = given.axes or tuple(range(rank))
    after = tuple(before[dim] for dim in dims)
    # Where nobody has said that it is an image, a permutation is one in torch, too.
    return PLAIN if given.axes is None or after == tuple(range(rank)) else Arrangement(after)


def _same(one: Arrangement, other: Arrangement) -> bool:
    if one.axes != other.axes:
        return False
    if one.order is None or other.order is None:
        return one.order is other.order
    return bool(np.array_equal(one.order, other.order))

"""The way from a Keras model to a module of torch that trains, and whose source a person would keep."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from unikeras.lowering import _torch_weights as _weights
from unikeras.lowering._call_refusal import Refusal
from unikeras.lowering._graph_writer import GraphWriter, identifier
from unikeras.lowering._layouts import Layout, Value
from unikeras.lowering._readable import readable
from unikeras.lowering._to_torch import cannot_lower
from unikeras.lowering.sources import WrittenModule, written

# What a layer of a written module cannot be called, and what an input of its forward cannot be.
RESERVED = ("source", "save_source", "load")
TAKEN = ("self", "torch", "F", "nn", "Tensor", "Any", "Path")


def to_module(
    model: Any,
    *,
    orders: Mapping[int, tuple[Any, Any]],
    channels_first: bool,
    image_channels_last: bool = True,
) -> WrittenModule:
    """Return a Keras model as a module of torch that can be trained.

    Args:
        model: a `keras.Sequential` or functional model, with its weights; one dtype in each layer.
        orders: for the id of a layer, the orders in which it takes and gives its features: for each feature of
            Keras, which it is in torch, or None.
        channels_first: whether the module takes and gives images with their channels first.
        image_channels_last: whether the model's own images have their channels last.

    Raises:
        CannotLower: parts of the model have no counterpart; the message names all of them, with reasons.
    """
    writer = GraphWriter(trains=True, orders=orders, reserved=RESERVED)
    outputs: list[Value] = []
    try:
        graph = readable(model)
        images = [image_channels_last and len(tensor.shape) > 3 for tensor in graph.inputs]
        names = input_names(graph.input, graph.inputs)
        inputs = [
            _input(writer, tensor, name, is_image, channels_first)
            for tensor, name, is_image in zip(graph.inputs, names, images, strict=True)
        ]
        outputs = writer.model(model, inputs)
    except Refusal as refusal:
        writer.reasons[identifier(model.name)] = f"{type(model).__name__} {refusal}"
    if writer.reasons:
        raise cannot_lower(model, writer.reasons)
    first = channels_first and image_channels_last
    proxies = [
        value.to(Layout.CHANNELS_FIRST if first and value.rank > 3 else Layout.PLAIN) for value in outputs
    ]
    returned = _structured(graph.output, proxies)
    keys = list(returned) if isinstance(returned, dict) else [""] * len(outputs)
    lowered = writer.finish(returned, model.name)
    _weights.own_memory(lowered)
    module = written(
        lowered, model.name, _about(names, inputs, list(zip(keys, outputs, strict=True)), images, first)
    )
    return module.eval()


def _input(writer: GraphWriter, tensor: Any, name: str, is_image: bool, channels_first: bool) -> Value:
    if is_image and channels_first:
        return writer.input(tensor, name, Layout.CHANNELS_FIRST)
    value = writer.input(tensor, name)
    if is_image:
        value.layout = Layout.CHANNELS_FIRST
    return value


def input_names(structure: Any, tensors: Sequence[Any]) -> list[str]:
    """Return the names of the arguments of forward: the keys of a dictionary, or the names of the inputs."""
    found = sorted(structure) if isinstance(structure, dict) else [tensor.name for tensor in tensors]
    if len(found) != len(tensors):
        found = [tensor.name for tensor in tensors]
    automatic = [bool(re.fullmatch(r"(keras_tensor|input_layer|input)(_\d+)?", name)) for name in found]
    if len(found) == 1 and automatic[0]:
        return ["x"]
    names: list[str] = []
    for number, name in enumerate(found, 1):
        name = f"x{number}" if automatic[number - 1] else identifier(name)
        while name in names or name in TAKEN:
            name = f"{name}_"
        names.append(name)
    return names


def _structured(structure: Any, proxies: list[Any]) -> Any:
    """Return proxies as a tensor, a dictionary, or a tuple."""
    if isinstance(structure, dict) and len(structure) == len(proxies):
        return dict(zip(sorted(structure), proxies, strict=True))
    is_one = not isinstance(structure, list | tuple | dict)
    return proxies[0] if is_one else tuple(proxies)


def _about(
    names: list[str], inputs: list[Value], outputs: list[tuple[str, Value]], images: list[bool], first: bool
) -> list[str]:
    """Return the docstring: what goes in and what comes out."""
    takes = [
        f"{name} {_shape(value.shape, first and is_image)}"
        for name, value, is_image in zip(names, inputs, images, strict=True)
    ]
    gives = [f"{key} {_shape(value.shape, first and value.rank > 3)}".strip() for key, value in outputs]
    one = f"Takes {', '.join(takes)} and returns {', '.join(gives)}."
    if len(one) <= 78:
        return [one]
    lines = [f"{len(takes)} inputs and {len(gives)} outputs.", "", "Takes:"]
    return [*lines, *(f"    {text}" for text in takes), "", "Returns:", *(f"    {text}" for text in gives)]


def _shape(shape: Sequence[int | None], channels_first: bool) -> str:
    sizes = ["*" if size is None else str(size) for size in shape]
    sizes = [sizes[0], sizes[-1], *sizes[1:-1]] if channels_first else sizes
    if sizes and sizes[0] == "*":
        sizes[0] = "batch"
    return f"({', '.join(sizes)})"

"""The weights of attention: torch keeps the projections of queries, keys and values in one tensor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import layers

from unikeras.interop._weight_links import Array, Link, Place, Rule, Unit, changed_kernel

# The names of Keras' own projections, and of the unit that each is on its own.
PROJECTIONS = ("query", "key", "value", "attention_output")


def _attention(place: Place) -> list[Unit]:
    layer = place.layer
    refusal = _refusal(layer)
    if refusal:
        return [Unit(place.path, "MultiheadAttention", layer, refusal=refusal)]
    inputs = [layer.query_dense, layer.key_dense, layer.value_dense]
    output = layer.output_dense
    links = [*_kernels(inputs), _flat_kernel("out_proj.weight", output.kernel, 2)]
    if output.bias is not None:
        links += [_packed_bias(inputs), Link.of_one("out_proj.bias", tuple(output.bias.shape), output.bias)]
    return [Unit(place.path, "MultiheadAttention", layer, tuple(links), follows=place.follows)]


def split_attention(place: Place) -> list[Place]:
    """Return the projections of an attention layer as layers of their own."""
    layer = place.layer
    parts = (layer.query_dense, layer.key_dense, layer.value_dense, layer.output_dense)
    return [Place(f"{place.path}/{name}", part) for name, part in zip(PROJECTIONS, parts, strict=True)]


def _refusal(layer: Any) -> str:
    parts = (layer.query_dense, layer.key_dense, layer.value_dense, layer.output_dense)
    if len(layer.weights) > sum(len(part.weights) for part in parts):  # get_config() would import TensorFlow
        return "is gated (use_gate=True), which torch's attention is not"
    if any(len(part.kernel.shape) != 3 for part in parts):
        return "projects to or from several axes, which torch's attention does not"
    return next(filter(None, map(changed_kernel, parts)), "")


def _kernels(parts: list[Any]) -> list[Link]:
    sizes = {int(part.kernel.shape[0]) for part in parts}
    widths = {math.prod(part.kernel.shape[1:]) for part in parts}
    if len(sizes) > 1 or len(widths) > 1:
        names = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
        return [_flat_kernel(name, part.kernel, 1) for name, part in zip(names, parts, strict=True)]
    kernels = tuple(part.kernel for part in parts)
    size, width = sizes.pop(), widths.pop()

    def load(packed: Array) -> list[Array]:
        return [one.T.reshape(kernel.shape) for one, kernel in zip(np.split(packed, 3), kernels, strict=True)]

    def dump(*values: Array) -> list[Array]:
        return [np.concatenate([value.reshape(size, width).T for value in values])]

    return [Link({"in_proj_weight": ((3 * width, size),)}, kernels, load, dump)]


def _packed_bias(parts: list[Any]) -> Link:
    biases = tuple(part.bias for part in parts)
    sizes = [math.prod(bias.shape) for bias in biases]

    def load(packed: Array) -> list[Array]:
        pieces = np.split(packed, np.cumsum(sizes)[:-1])
        return [one.reshape(bias.shape) for one, bias in zip(pieces, biases, strict=True)]

    def dump(*values: Array) -> list[Array]:
        return [np.concatenate([value.reshape(-1) for value in values])]

    return Link({"in_proj_bias": ((sum(sizes),),)}, biases, load, dump)


def _flat_kernel(name: str, kernel: Any, axes_in: int) -> Link:
    """Return the link of a kernel whose first axes are its inputs, as torch's (outputs, inputs)."""
    shape = tuple(kernel.shape)
    size_in, size_out = math.prod(shape[:axes_in]), math.prod(shape[axes_in:])
    return Link.of_one(
        name,
        (size_out, size_in),
        kernel,
        lambda t: t.T.reshape(shape),
        lambda k: k.reshape(size_in, size_out).T,
    )


ATTENTION_RULES: dict[type, Rule] = {layers.MultiHeadAttention: _attention}

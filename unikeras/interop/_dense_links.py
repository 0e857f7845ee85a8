"""The weights of dense layers, embeddings and PReLU."""

from __future__ import annotations

import math

import numpy as np
from keras import layers

from unikeras.errors import ArgumentValueError
from unikeras.interop._weight_links import Array, Link, Place, Rule, Unit, changed_kernel, reordered, restored


def _dense(place: Place) -> list[Unit]:
    layer = place.layer
    refusal = changed_kernel(layer)
    if refusal:
        return [Unit(place.path, "Linear", layer, refusal=refusal)]
    rows, columns = place.order_in, place.order_out
    size_in, size_out = map(int, layer.kernel.shape)
    kernel = Link.of_one(
        "weight",
        (size_out, size_in),
        layer.kernel,
        lambda t: reordered(reordered(t.T, rows), columns, 1),
        lambda k: restored(restored(k, rows), columns, 1).T,
    )
    links = [kernel]
    if layer.bias is not None:
        links.append(
            Link.of_one(
                "bias",
                (size_out,),
                layer.bias,
                lambda t: reordered(t, columns),
                lambda b: restored(b, columns),
            )
        )
    notes = [
        f"the {side} are in the order height, width, channels here, and channels, height, width in torch"
        for side, order in (("rows", rows), ("columns", columns))
        if order is not None
    ]
    return [Unit(place.path, "Linear", layer, tuple(links), follows=place.follows, notes=tuple(notes))]


def _einsum_dense(place: Place) -> list[Unit]:
    layer = place.layer
    refusal = changed_kernel(layer)
    given, _, rest = layer.equation.replace("...", "").replace(" ", "").partition(",")
    kernel, _, out = rest.partition("->")
    inner, outer = (
        "".join(letter for letter in kernel if letter in one and letter not in other)
        for one, other in ((given, out), (out, given))
    )
    if not refusal and (
        kernel != inner + outer or (layer.bias is not None and "".join(layer.bias_axes) != outer)
    ):
        refusal = f"computes {layer.equation}, which is no Linear of torch"
    if refusal:
        return [Unit(place.path, "Linear", layer, refusal=refusal)]
    shape = tuple(layer.kernel.shape)
    size_in, size_out = math.prod(shape[: len(inner)]), math.prod(shape[len(inner) :])
    links = [
        Link.of_one(
            "weight",
            (size_out, size_in),
            layer.kernel,
            lambda t: t.T.reshape(shape),
            lambda k: k.reshape(size_in, size_out).T,
        )
    ]
    if layer.bias is not None:
        wide = tuple(layer.bias.shape)
        links.append(
            Link.of_one("bias", (size_out,), layer.bias, lambda t: t.reshape(wide), lambda b: b.reshape(-1))
        )
    return [Unit(place.path, "Linear", layer, tuple(links), follows=place.follows)]


def _embedding(place: Place) -> list[Unit]:
    layer = place.layer
    refusal = changed_kernel(layer)
    if refusal:
        return [Unit(place.path, "Embedding", layer, refusal=refusal)]
    table = Link.of_one("weight", tuple(layer.embeddings.shape), layer.embeddings)
    return [Unit(place.path, "Embedding", layer, (table,))]


def _prelu(place: Place) -> list[Unit]:
    """Torch has one slope for all, or one for each channel; Keras one for each place, or fewer."""
    alpha = place.layer.alpha
    shape = tuple(map(int, alpha.shape))
    wide = [axis for axis, size in enumerate(shape) if size > 1]
    channel = wide[0] if len(wide) == 1 else place.axes.index(0) if place.axes else 0
    count = shape[channel]
    order = place.order_in if len(shape) == 1 else None
    spread = tuple(count if axis == channel else 1 for axis in range(len(shape)))

    def load(slopes: Array) -> list[Array]:
        slopes = reordered(slopes, order if slopes.size == count else None)
        if slopes.size > 1:
            slopes = slopes.reshape(spread)
        return [np.broadcast_to(slopes, shape) if slopes.size > 1 else np.full(shape, slopes[0])]

    def dump(value: Array) -> list[Array]:
        if shape != spread and (value == value.flat[0]).all():
            return [value.reshape(-1)[:1]]
        others = tuple(axis for axis in range(len(shape)) if axis != channel)
        slopes = value.min(others)
        if not (value == slopes.reshape(spread)).all():
            raise ArgumentValueError(
                f"{place.path} has slopes that differ inside a channel, which torch's PReLU has not"
            )
        return [restored(slopes, order)]

    shapes = ((count,),) if count == 1 else ((count,), (1,))
    link = Link({"weight": shapes}, (alpha,), load, dump)
    return [Unit(place.path, "PReLU", place.layer, (link,), follows=place.follows)]


DENSE_RULES: dict[type, Rule] = {
    layers.Dense: _dense,
    layers.EinsumDense: _einsum_dense,
    layers.Embedding: _embedding,
    layers.PReLU: _prelu,
}

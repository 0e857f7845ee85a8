"""Layers that move, repeat, cut or pad axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from keras import layers
from torch.nn import functional

from unikeras.lowering._layer_call import Call
from unikeras.lowering._layouts import Layout, Value, flat_channels_first, same_order
from unikeras.lowering._rule_registry import rule
from unikeras.lowering.rules._activations import described


def reshaped(x: Any, batch: Any, shape: Sequence[int | None]) -> Any:
    """Reshape a tensor to (batch, *shape), of which one size may be open."""
    sizes = [-1 if size is None else size for size in shape]
    return x.reshape(batch if -1 in sizes else -1, *sizes)


@rule(layers.Reshape)
def _reshape(call: Call) -> Value:
    shape = call.outputs[0].shape[1:]
    if call.x.order is not None and _is_flat_image(call.x, shape):
        return described(call, call.x.own.unflatten(1, (shape[-1], *shape[:-1])), Layout.CHANNELS_FIRST)
    open_sizes = [n for n, size in enumerate(shape) if size is None]
    call.refuse_unless(len(open_sizes) < 2, f"has a target shape with several open sizes {shape}")
    x = call.x.plain
    return described(call, reshaped(x, x.shape[0], shape))


def _is_flat_image(value: Value, shape: Sequence[int | None]) -> bool:
    """Say whether features lie as an image of this shape does, with its channels first."""
    sizes = [size for size in shape if size is not None]
    return len(sizes) == len(shape) > 2 and same_order(value.order, flat_channels_first(sizes))


@rule(layers.Flatten)
def _flatten(call: Call) -> Value:
    if call.trains and call.x.rank > 2 and None not in call.x.shape[1:]:
        return _flat_as_in_torch(call)
    if call.trains and call.x.rank == 2:
        return call.x
    x = call.x.plain
    if call.x.rank == 1:
        return described(call, x.unsqueeze(-1))
    if call.layer.data_format == "channels_first" and call.x.rank > 2:
        x = x.permute(0, *range(2, call.x.rank), 1)
    return described(call, x.flatten(1))


def _flat_as_in_torch(call: Call) -> Value:
    """Flatten a tensor as it lies; the columns of what comes next are put in this order."""
    x = call.x
    sizes = [size for size in x.shape[1:] if size is not None]
    if call.layer.data_format == "channels_first":
        # Keras moves the channels to the end first.
        flat, image = described(call, x.plain.flatten(1)), [*sizes[1:], sizes[0]]
    elif x.layout is Layout.CHANNELS_FIRST:
        flat, image = described(call, x.own.flatten(1)), sizes
    else:
        return described(call, x.plain.flatten(1))
    flat.order = flat_channels_first(image)
    flat.image = tuple(image)
    return flat


@rule(layers.Permute)
def _permute(call: Call) -> Value:
    return described(call, call.x.plain.permute(0, *call.layer.dims))


@rule(layers.RepeatVector)
def _repeat_vector(call: Call) -> Value:
    return described(call, call.x.plain.unsqueeze(1).repeat(1, call.layer.n, 1))


def _image_layout(layer: Any) -> Layout:
    """Return the layout in which the axes that a layer of images changes come last."""
    return Layout.of(getattr(layer, "data_format", None) or "channels_last")


def _pairs(amounts: Any) -> list[tuple[int, int]]:
    pairs = [amounts] if isinstance(amounts[0], int) else amounts
    return [(int(start), int(end)) for start, end in pairs]


@rule(layers.Cropping1D, layers.Cropping2D, layers.Cropping3D)
def _cropping(call: Call) -> Value:
    layout = _image_layout(call.layer)
    kept = [slice(start, -end or None) for start, end in _pairs(call.layer.cropping)]
    return described(call, call.x.to(layout)[(slice(None), slice(None), *kept)], layout)


@rule(layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D)
def _zero_padding(call: Call) -> Value:
    layout = _image_layout(call.layer)
    pads = [amount for pair in reversed(_pairs(call.layer.padding)) for amount in pair]
    return described(call, functional.pad(call.x.to(layout), pads), layout)


@rule(layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D)
def _up_sampling(call: Call) -> Value:
    layer, layout = call.layer, _image_layout(call.layer)
    sizes = [layer.size] if isinstance(layer.size, int) else layer.size
    mode = getattr(layer, "interpolation", "nearest")
    call.refuse_unless(
        mode in ("nearest", "bilinear"), f"interpolates by {mode!r}, which torch does otherwise"
    )
    factors = [float(size) for size in sizes]
    corners = {} if mode == "nearest" else {"align_corners": False}
    return described(
        call, functional.interpolate(call.x.to(layout), scale_factor=factors, mode=mode, **corners), layout
    )


@rule(layers.Masking)
def _masking(call: Call) -> Value:
    x = call.x.plain
    kept = torch.any(x != call.layer.mask_value, -1)
    result = described(call, torch.where(kept.unsqueeze(-1), x, 0.0))
    result.mask = Value(kept, shape=call.x.shape[:-1], dtype="bool")
    return result


@rule(
    layers.ActivityRegularization,
    layers.Identity,
)
def identity(call: Call) -> list[Value]:
    """Return the very tensors that came in, with what hangs on them, as Keras does."""
    return call.values

"""Channels and places that change roles: shuffles, and patches of an image."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from keras import ops

from unikeras.interop.operators._arrays import cut, reshape, shape
from unikeras.interop.operators._rules import register_operator
from unikeras.interop.operators._windows import batched, spread, widen


@register_operator("aten.pixel_shuffle")
def shuffle_pixels(x: Any, factor: int) -> Any:
    *lead, channels, high, wide = shape(x)
    x = reshape(x, [*lead, channels // factor**2, factor, factor, high, wide])
    at = len(lead)
    x = ops.transpose(x, [*range(at), at, at + 3, at + 1, at + 4, at + 2])
    return reshape(x, [*lead, channels // factor**2, high * factor, wide * factor])


@register_operator("aten.pixel_unshuffle")
def unshuffle_pixels(x: Any, factor: int) -> Any:
    *lead, channels, high, wide = shape(x)
    x = reshape(x, [*lead, channels, high // factor, factor, wide // factor, factor])
    at = len(lead)
    x = ops.transpose(x, [*range(at), at, at + 2, at + 4, at + 1, at + 3])
    return reshape(x, [*lead, channels * factor**2, high // factor, wide // factor])


@register_operator("aten.channel_shuffle", "aten.native_channel_shuffle")
def shuffle_channels(x: Any, groups: int) -> Any:
    sizes = shape(x)
    y = reshape(x, [sizes[0], groups, sizes[1] // groups, *sizes[2:]])
    return reshape(ops.swapaxes(y, 1, 2), sizes)


@register_operator("aten.im2col")
@batched(2)
def take_patches(
    x: Any,
    kernel_size: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> Any:
    x = widen(x, [(width, width) for width in padding])
    counts = _counts(x.shape[2:], kernel_size, dilation, stride)
    patches = []
    for places in itertools.product(*map(range, kernel_size)):
        y = x
        for axis, (place, rate, step, count) in enumerate(
            zip(places, dilation, stride, counts, strict=True), 2
        ):
            start = place * rate
            y = cut(y, axis, slice(start, start + (count - 1) * step + 1, step))
        patches.append(y)
    batch, channels = shape(x)[:2]
    return reshape(ops.stack(patches, 2), [batch, channels * len(patches), math.prod(counts)])


@register_operator("aten.col2im")
def add_patches(
    x: Any,
    output_size: Sequence[int],
    kernel_size: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> Any:
    if len(x.shape) == 2:
        rest = (output_size, kernel_size, dilation, padding, stride)
        return ops.squeeze(add_patches(ops.expand_dims(x, 0), *rest), 0)
    sizes = [size + 2 * width for size, width in zip(output_size, padding, strict=True)]
    counts = _counts(sizes, kernel_size, dilation, stride)
    batch, rows = shape(x)[:2]
    patches = reshape(x, [batch, rows // math.prod(kernel_size), math.prod(kernel_size), *counts])
    total = None
    for number, places in enumerate(itertools.product(*map(range, kernel_size))):
        y = cut(patches, 2, number)
        widths = []
        for axis, (place, rate, step, count) in enumerate(
            zip(places, dilation, stride, counts, strict=True), 2
        ):
            y = spread(y, axis, step)
            start = place * rate
            widths.append((start, sizes[axis - 2] - start - (count - 1) * step - 1))
        y = widen(y, widths)
        total = y if total is None else total + y
    return widen(total, [(-width, -width) for width in padding])


def _counts(
    sizes: Sequence[int], kernel_size: Sequence[int], dilation: Sequence[int], stride: Sequence[int]
) -> list[int]:
    """Return how many patches stand along each axis."""
    axes = zip(sizes, kernel_size, dilation, stride, strict=True)
    return [(size - rate * (window - 1) - 1) // step + 1 for size, window, rate, step in axes]

"""Convolutions, plain and transposed, of one to three axes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from keras import ops

from unikeras import backends
from unikeras.interop.operators._arrays import each, reshape
from unikeras.interop.operators._rules import register_operator
from unikeras.interop.operators._windows import (
    Widths,
    batched,
    spread,
    to_channels_first,
    to_channels_last,
    widen,
)

LAST = "channels_last"


@register_operator("aten.conv1d", "aten.conv2d", "aten.conv3d")
def convolve(
    x: Any,
    kernel: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    axes = len(kernel.shape) - 2
    strides, dilations = each(stride, axes), each(dilation, axes)
    totals = [rate * (size - 1) for rate, size in zip(dilations, kernel.shape[2:], strict=True)]
    if padding == "valid":
        widths = [(0, 0)] * axes
    elif padding == "same":
        widths = [(total // 2, total - total // 2) for total in totals]
    else:
        widths = [(width, width) for width in each(padding, axes)]

    @batched(axes)
    def run(x: Any) -> Any:
        y = _convolve_last(to_channels_last(x), kernel, strides, widths, dilations, groups)
        return to_channels_first(y if bias is None else y + bias)

    return run(x)


@register_operator("aten.conv_transpose1d", "aten.conv_transpose2d", "aten.conv_transpose3d")
def convolve_transposed(
    x: Any,
    kernel: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    axes = len(kernel.shape) - 2
    strides, dilations = each(stride, axes), each(dilation, axes)
    pads, extra = each(padding, axes), each(output_padding, axes)
    spans = [rate * (size - 1) for rate, size in zip(dilations, kernel.shape[2:], strict=True)]
    compute = _transpose_plain if groups == 1 else _transpose_groups

    @batched(axes)
    def run(x: Any) -> Any:
        y = compute(to_channels_last(x), kernel, strides, dilations, groups)
        # So far it has one entry for each product; a plain one also what fills up the last stride.
        filled = [
            max(step - span - 1, 0) if groups == 1 else 0 for step, span in zip(strides, spans, strict=True)
        ]
        widths = [(-pad, more - pad - rest) for pad, more, rest in zip(pads, extra, filled, strict=True)]
        y = widen(y, [*widths, (0, 0)])
        return to_channels_first(y if bias is None else y + bias)

    return run(x)


@register_operator("aten.convolution", "aten._convolution")
def convolve_either(
    x: Any,
    kernel: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    *_: bool,
) -> Any:
    if transposed:
        return convolve_transposed(x, kernel, bias, stride, padding, output_padding, groups, dilation)
    return convolve(x, kernel, bias, stride, padding, dilation, groups)


def _convolve_last(
    x: Any, kernel: Any, strides: Sequence[int], widths: Widths, dilations: Sequence[int], groups: int
) -> Any:
    """Convolve (batch, axes, channels) with torch's kernel."""
    axes = len(strides)
    spatial = range(2, axes + 2)
    if any(step > 1 for step in strides) and any(rate > 1 for rate in dilations):
        # Not every backend takes both: a kernel with zeros in it needs no dilation.
        for axis, rate in zip(spatial, dilations, strict=True):
            kernel = spread(kernel, axis, rate)
        dilations = (1,) * axes
    padding = "valid"
    if all(step == 1 for step in strides) and list(widths) == [
        (rate * (size - 1) // 2,) * 2 for rate, size in zip(dilations, kernel.shape[2:], strict=True)
    ]:
        # Where both say the same, the convolution pads, and no copy is made.
        spans = [rate * (size - 1) for rate, size in zip(dilations, kernel.shape[2:], strict=True)]
        padding = "same" if not any(span % 2 for span in spans) else "valid"
    if padding == "valid":
        x = widen(x, [*widths, (0, 0)])
    if groups > 1 and groups == x.shape[-1] and axes < 3:
        return _convolve_depthwise(x, kernel, strides, padding, dilations)
    kernel = ops.transpose(kernel, [*spatial, 1, 0])
    if groups == 1 and _is_wider(kernel, widths, dilations, x, padding):
        x = x if padding == "valid" else widen(x, [*widths, (0, 0)])
        return _convolve_patches(x, kernel, strides, dilations)
    arguments = {"strides": strides, "padding": padding, "data_format": LAST, "dilation_rate": dilations}
    if groups == 1 or backends.current().convolves_groups:
        return ops.conv(x, kernel, **arguments)
    pairs = zip(ops.split(x, groups, -1), ops.split(kernel, groups, -1), strict=True)
    return ops.concatenate([ops.conv(part, own, **arguments) for part, own in pairs], -1)


def _is_wider(kernel: Any, widths: Widths, dilations: Sequence[int], x: Any, padding: str) -> bool:
    """Say whether the kernel is wider than what it convolves, before that is padded."""
    added = [0 if padding == "same" else before + after for before, after in widths]
    axes = zip(x.shape[1:-1], added, kernel.shape, dilations, strict=False)
    return all(
        size is not None and size - more < rate * (window - 1) + 1 for size, more, window, rate in axes
    )


def _convolve_patches(x: Any, kernel: Any, strides: Sequence[int], dilations: Sequence[int]) -> Any:
    """Convolve as one product of matrices.

    XLA folds what pads an image into the convolution, and has a loop over single numbers on the CPU where the kernel
    is then wider than the image (jax 0.10): 100 times slower in the last blocks of a ResNet-18 for images of 64.
    """
    *sizes, inner, outer = kernel.shape
    patches = []
    for places in itertools.product(*map(range, sizes)):
        cuts = [slice(None)]
        for place, size, window, step, rate in zip(
            places, x.shape[1:-1], sizes, strides, dilations, strict=True
        ):
            last = place * rate + (size - rate * (window - 1) - 1) // step * step
            cuts.append(slice(place * rate, last + 1, step))
        patches.append(x[tuple(cuts)])
    return ops.matmul(ops.concatenate(patches, -1), ops.reshape(kernel, (math.prod(sizes) * inner, outer)))


def _convolve_depthwise(
    x: Any, kernel: Any, strides: Sequence[int], padding: str, dilations: Sequence[int]
) -> Any:
    """Convolve each channel with kernels of its own."""
    axes, channels = len(strides), x.shape[-1]
    kernel = ops.transpose(ops.squeeze(kernel, 1), [*range(1, axes + 1), 0])
    kernel = ops.reshape(kernel, (*kernel.shape[:-1], channels, kernel.shape[-1] // channels))
    is_even = len(set(strides)) == 1
    # Not every backend has strides that differ: they are taken from all places.
    y = ops.depthwise_conv(
        x, kernel, strides if is_even else (1,) * axes, padding, data_format=LAST, dilation_rate=dilations
    )
    return y if is_even else y[(slice(None), *(slice(None, None, step) for step in strides))]


def _transpose_plain(
    x: Any, kernel: Any, strides: Sequence[int], dilations: Sequence[int], groups: int
) -> Any:
    axes = len(strides)
    for axis, rate in enumerate(dilations, 2):
        kernel = spread(kernel, axis, rate)
    kernel = ops.transpose(kernel, [*range(2, axes + 2), 1, 0])
    return ops.conv_transpose(x, kernel, strides, "valid", data_format=LAST)


def _transpose_groups(
    x: Any, kernel: Any, strides: Sequence[int], dilations: Sequence[int], groups: int
) -> Any:
    """Convolve what was spread by the strides with the kernel turned around: Keras has no groups here."""
    axes = len(strides)
    for axis, step in enumerate(strides, 1):
        x = spread(x, axis, step)
    inner, outer, *sizes = kernel.shape
    kernel = ops.reshape(kernel, (groups, inner // groups, outer, *sizes))
    kernel = reshape(ops.swapaxes(kernel, 1, 2), [groups * outer, inner // groups, *sizes])
    kernel = ops.flip(kernel, list(range(2, axes + 2)))
    spans = [rate * (size - 1) for rate, size in zip(dilations, sizes, strict=True)]
    return _convolve_last(x, kernel, (1,) * axes, [(span, span) for span in spans], dilations, groups)

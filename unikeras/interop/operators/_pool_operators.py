"""Pools: of one to three axes, to a size, and with the places of maxima."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from unikeras.interop.operators._arrays import each, reshape, shape
from unikeras.interop.operators._rules import register_operator
from unikeras.interop.operators._windows import (
    batched,
    to_channels_first,
    to_channels_last,
    widen,
)

LAST = "channels_last"


def _count(size: Any, pad: int, window: int, stride: int, dilation: int, ceil_mode: bool) -> Any:
    """Return how many windows stand on an axis. With `ceil_mode` none begins behind it and what pads it before."""
    room = size + 2 * pad - dilation * (window - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    count = (room + stride - 1) // stride + 1
    is_late = (count - 1) * stride >= size + pad
    return count - (int(is_late) if isinstance(is_late, bool) else ops.cast(is_late, "int32"))


def _widths(
    sizes: Sequence[Any], pads: Sequence[int], windows: Sequence[int], strides: Sequence[int], ceil_mode: bool
) -> list[tuple[Any, Any]]:
    """Return what pads each axis, so that windows that lie inside are torch's."""
    if not ceil_mode:
        return [(pad, pad) for pad in pads]
    axes = zip(sizes, pads, windows, strides, strict=True)
    return [
        (pad, max((_count(size, pad, window, stride, 1, True) - 1) * stride + window - size - pad, 0))
        for size, pad, window, stride in axes
    ]


def _pool_inside(pool: Any, x: Any, windows: Sequence[int], strides: Sequence[int]) -> Any:
    """Pool (batch, axes, channels) over windows that lie inside, by pools of two axes.

    TensorFlow has no others of float64 on the CPU. Of equal numbers the first still counts: the first axis is last.
    """
    sizes = shape(x)
    if len(windows) == 1:
        return ops.squeeze(_pool_inside(pool, ops.expand_dims(x, 1), (1, *windows), (1, *strides)), 1)
    if len(windows) == 2:
        return pool(x, windows, strides, "valid", data_format=LAST)
    inner = pool(
        reshape(x, [sizes[0] * sizes[1], *sizes[2:]]), windows[1:], strides[1:], "valid", data_format=LAST
    )
    _, high, wide, channels = shape(inner)
    flat = reshape(inner, [*sizes[:2], high * wide, channels])
    outer = pool(flat, (windows[0], 1), (strides[0], 1), "valid", data_format=LAST)
    return reshape(outer, [sizes[0], shape(outer)[1], high, wide, channels])


def _max_pool(
    x: Any, window: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Any:
    axes = len(x.shape) - 2
    windows, pads, dilations = each(window, axes), each(padding, axes), each(dilation, axes)
    strides = each(stride, axes) if stride or stride == 0 else windows
    if any(rate > 1 for rate in dilations):
        return _max_pool_with_indices(x, windows, strides, pads, dilations, ceil_mode)[0]
    widths = _widths(shape(x)[2:], pads, windows, strides, ceil_mode)
    x = widen(to_channels_last(x), [*widths, (0, 0)], -math.inf)
    return to_channels_first(_pool_inside(ops.max_pool, x, windows, strides))


def _max_pool_with_indices(
    x: Any, window: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> tuple[Any, Any]:
    sizes = x.shape[2:]
    axes = len(sizes)
    windows, pads, dilations = each(window, axes), each(padding, axes), each(dilation, axes)
    strides = each(stride, axes) if stride or stride == 0 else windows
    places = []
    for size, pad, one, step, rate in zip(sizes, pads, windows, strides, dilations, strict=True):
        count = _count(size, pad, one, step, rate, ceil_mode)
        at = np.arange(count)[:, None] * step - pad + np.arange(one) * rate
        places.append(np.where((at >= 0) & (at < size), at, -1))
    return _max_of_places(x, places)


def _max_of_places(x: Any, places: Sequence[np.ndarray]) -> tuple[Any, Any]:
    """Return the first maximum of each window, and where it stands in the flat axes.

    Args:
        x: (batch, channels, axes).
        places: for each axis (windows, entries of a window), -1 for what lies outside.
    """
    sizes = x.shape[2:]
    counts = [len(place) for place in places]
    table, is_inside = np.zeros((1, 1), "int64"), np.ones((1, 1), bool)
    for size, place in zip(sizes, places, strict=True):
        table = (table[:, None, :, None] * size + place[None, :, None, :]).reshape(
            len(table) * len(place), -1
        )
        is_inside = (is_inside[:, None, :, None] & (place >= 0)[None, :, None, :]).reshape(table.shape)
    # An entry outside stands for the first one inside.
    table = np.where(is_inside, table, np.take_along_axis(table, is_inside.argmax(1)[:, None], 1))
    lead = shape(x)[:2]
    windows = ops.take(reshape(x, [*lead, math.prod(sizes)]), table.reshape(-1), axis=-1)
    windows = reshape(windows, [*lead, *table.shape])
    best = ops.argmax(windows, -1)
    values = ops.squeeze(ops.take_along_axis(windows, ops.expand_dims(best, -1), axis=-1), -1)
    starts = ops.cast(np.arange(len(table)) * table.shape[1], best.dtype)
    indices = ops.take(ops.convert_to_tensor(table.reshape(-1)), best + starts, axis=0)
    return reshape(values, [*lead, *counts]), reshape(indices, [*lead, *counts])


def _average_pool(
    x: Any,
    window: Any,
    stride: Any = (),
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    axes, sizes = len(x.shape) - 2, shape(x)[2:]
    windows, pads = each(window, axes), each(padding, axes)
    strides = each(stride, axes) if stride or stride == 0 else windows
    widths = _widths(sizes, pads, windows, strides, ceil_mode)
    y = widen(to_channels_last(x), [*widths, (0, 0)])
    y = to_channels_first(_pool_inside(ops.average_pool, y, windows, strides))
    total = math.prod(windows)
    if divisor_override is not None:
        return y * (total / divisor_override)
    if any(map(any, widths)) and (ceil_mode or not count_include_pad):
        for axis, (size, pad, one, step) in enumerate(zip(sizes, pads, windows, strides, strict=True)):
            # torch counts what pads an axis on both sides, but nothing behind that.
            outer = pad if count_include_pad else 0
            count = _count(size, pad, one, step, 1, ceil_mode)
            xp: Any = np if isinstance(count, int) else ops
            starts = xp.arange(count) * step - pad
            inside = xp.minimum(starts + one, size + outer) - xp.maximum(starts, -outer)
            scale = ops.cast(one, y.dtype) / ops.cast(inside, y.dtype)
            y = y * reshape(scale, [count, *[1] * (axes - axis - 1)])
    return y


def _bins(size: int, count: int) -> list[range]:
    """Return the places of each of `count` parts of an axis; neighbors may share one."""
    return [range(k * size // count, -((-(k + 1) * size) // count)) for k in range(count)]


def _adaptive_sizes(x: Any, output_size: Any) -> list[tuple[int, Any, int]]:
    axes = len(x.shape) - 2
    sizes = shape(x)[2:]
    counts = each(output_size, axes)
    return [
        (axis, size, size if count is None else count)
        for axis, size, count in zip(itertools.count(2), sizes, counts, strict=False)
    ]


def _adaptive_average_pool(x: Any, output_size: Any) -> Any:
    targets = [target for target in _adaptive_sizes(x, output_size) if target[1] is not target[2]]
    whole = [axis for axis, _, count in targets if isinstance(count, int) and count == 1]
    x = ops.mean(x, whole, keepdims=True) if whole else x
    for axis, size, count in targets:
        if axis in whole or (isinstance(size, int) and size == count):
            continue
        matrix = np.zeros((size, count))
        for k, places in enumerate(_bins(size, count)):
            matrix[places.start : places.stop, k] = 1 / len(places)
        x = ops.matmul(ops.moveaxis(x, axis, -1), ops.cast(matrix, x.dtype))
        x = ops.moveaxis(x, -1, axis)
    return x


def _adaptive_max_pool(x: Any, output_size: Any) -> tuple[Any, Any]:
    places = []
    for _, size, count in _adaptive_sizes(x, output_size):
        bins = _bins(size, count)
        longest = max(map(len, bins))
        places.append(np.array([[*one, *[-1] * (longest - len(one))] for one in bins]))
    return _max_of_places(x, places)


def _max_unpool(x: Any, indices: Any, output_size: Sequence[Any], *_: Any) -> Any:
    sizes = shape(x)
    total = math.prod(output_size)
    flat = reshape(ops.cast(indices, "int32"), [-1, math.prod(x.shape[2:])])
    rows = ops.broadcast_to(ops.expand_dims(ops.arange(shape(flat)[0], dtype="int32"), 1), shape(flat))
    where = reshape(rows * total + flat, [-1, 1])
    empty = ops.zeros([sizes[0] * sizes[1] * total], x.dtype)
    return reshape(ops.scatter_update(empty, where, reshape(x, [-1])), [*sizes[:2], *output_size])


for _axes in (1, 2, 3):
    _of = batched(_axes)
    register_operator(f"aten.max_pool{_axes}d")(_of(_max_pool))
    register_operator(f"aten.max_pool{_axes}d_with_indices")(_of(_max_pool_with_indices))
    register_operator(f"aten.avg_pool{_axes}d")(_of(_average_pool))
    register_operator(f"aten.adaptive_avg_pool{_axes}d", f"aten._adaptive_avg_pool{_axes}d")(
        _of(_adaptive_average_pool)
    )
    register_operator(f"aten.adaptive_max_pool{_axes}d")(_of(_adaptive_max_pool))
for _axes in (2, 3):
    register_operator(f"aten.max_unpool{_axes}d")(_max_unpool)

"""Resizing of one to three axes: nearest entries, and weighted ones as a matrix for each axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

from unikeras.interop.operators._arrays import reshape, shape
from unikeras.interop.operators._rules import register_operator

Array = Any
# (size, new size, scale, whether corners are aligned) -> (new size, size): the weights of an axis.
Weights = Callable[[int, int, float, bool], Array]


def _sizes(x: Any, output_size: Any, factors: Any) -> tuple[list[int], list[float | None]]:
    """Return the new sizes and the factors, of which torch takes one or the other."""
    if output_size is not None:
        return list(output_size), [None] * len(output_size)
    return [math.floor(size * factor) for size, factor in zip(x.shape[2:], factors, strict=True)], list(
        factors
    )


def _scale(size: int, new: int, factor: float | None) -> float:
    """Return how far apart two new entries stand among the old ones."""
    return 1 / factor if factor else size / new


# ---- nearest


def _nearest(x: Any, output_size: Sequence[int], factors: Sequence[float | None], offset: float) -> Any:
    for axis, (new, factor) in enumerate(zip(output_size, factors, strict=True), 2):
        size = x.shape[axis]
        # torch computes places in float32, and a sum that is rounded there may be another place.
        scale = np.float32(_scale(size, new, factor))
        places = np.floor((np.arange(new, dtype="float32") + np.float32(offset)) * scale)
        places = np.minimum(places.astype("int64"), size - 1)
        times = new // size
        if new == size * times and np.array_equal(places, np.arange(new) // times):
            x = _repeated(x, axis, times)
        else:
            x = ops.take(x, places, axis=axis)
    return x


def _repeated(x: Any, axis: int, times: int) -> Any:
    sizes = shape(x)
    x = ops.expand_dims(x, axis + 1)
    x = ops.broadcast_to(x, [*sizes[: axis + 1], times, *sizes[axis + 1 :]])
    return reshape(x, [*sizes[:axis], sizes[axis] * times, *sizes[axis + 1 :]])


# ---- weighted


def _centers(size: int, new: int, scale: float, align_corners: bool) -> Array:
    """Return where the new entries stand among the old ones."""
    if align_corners:
        return np.arange(new) * ((size - 1) / (new - 1) if new > 1 else 0.0)
    return (np.arange(new) + 0.5) * scale - 0.5


def _linear(size: int, new: int, scale: float, align_corners: bool) -> Array:
    centers = np.clip(_centers(size, new, scale, align_corners), 0, size - 1)
    return np.maximum(1 - np.abs(np.arange(size) - centers[:, None]), 0)


def _cubic(size: int, new: int, scale: float, align_corners: bool) -> Array:
    centers = _centers(size, new, scale, align_corners)
    taps = np.floor(centers)[:, None].astype(int) + np.arange(-1, 3)
    weights = _cubic_kernel(centers[:, None] - taps, -0.75)
    matrix = np.zeros((new, size))
    # What lies outside is the entry at the border.
    np.add.at(matrix, (np.arange(new)[:, None], np.clip(taps, 0, size - 1)), weights)
    return matrix


def _cubic_kernel(distance: Array, a: float) -> Array:
    x = np.abs(distance)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _smooth(kernel: Callable[[Array], Array], reach: float) -> Weights:
    """Return the weights of a kernel that grows where an axis shrinks."""

    def weights(size: int, new: int, scale: float, align_corners: bool) -> Array:
        if align_corners:
            scale = (size - 1) / (new - 1) if new > 1 else 0.0
        wide = max(scale, 1.0)
        matrix = np.zeros((new, size))
        for k in range(new):
            center = scale * (k + 0.5)
            first = max(int(center - reach * wide + 0.5), 0)
            last = min(int(center + reach * wide + 0.5), size)
            row = kernel((np.arange(first, last) - center + 0.5) / wide)
            matrix[k, first:last] = row / row.sum()
        return matrix

    return weights


def _triangle(distance: Array) -> Array:
    return np.maximum(1 - np.abs(distance), 0)


def _resize(
    weights: Weights, x: Any, output_size: Sequence[int], align_corners: bool, factors: Sequence[float | None]
) -> Any:
    for axis, (new, factor) in enumerate(zip(output_size, factors, strict=True), 2):
        size = x.shape[axis]
        matrix = weights(size, new, _scale(size, new, factor), align_corners)
        if matrix.shape[0] == matrix.shape[1] and np.array_equal(matrix, np.eye(size)):
            continue
        if axis == len(x.shape) - 1:
            x = ops.matmul(x, ops.cast(matrix.T, x.dtype))
        elif axis == len(x.shape) - 2:
            x = ops.matmul(ops.cast(matrix, x.dtype), x)
        else:
            x = ops.moveaxis(ops.matmul(ops.moveaxis(x, axis, -1), ops.cast(matrix.T, x.dtype)), -1, axis)
    return x


def _register_nearest(name: str, axes: int, offset: float) -> None:
    @register_operator(f"aten.{name}{axes}d")
    def to_size(x: Any, output_size: Sequence[int], *factors: float | None) -> Any:
        return _nearest(x, output_size, factors or [None] * axes, offset)

    @register_operator(f"aten.{name}{axes}d.vec")
    def by_factors(x: Any, output_size: Any, factors: Any) -> Any:
        return _nearest(x, *_sizes(x, output_size, factors), offset)


def _register_weighted(name: str, axes: int, weights: Weights) -> None:
    @register_operator(f"aten.{name}")
    def to_size(x: Any, output_size: Sequence[int], align_corners: bool, *factors: float | None) -> Any:
        return _resize(weights, x, output_size, align_corners, factors or [None] * axes)

    @register_operator(f"aten.{name}.vec")
    def by_factors(x: Any, output_size: Any, align_corners: bool, factors: Any) -> Any:
        sizes, factors = _sizes(x, output_size, factors)
        return _resize(weights, x, sizes, align_corners, factors)


for _axes in (1, 2, 3):
    _register_nearest("upsample_nearest", _axes, 0.0)
    _register_nearest("_upsample_nearest_exact", _axes, 0.5)
_register_weighted("upsample_linear1d", 1, _linear)
_register_weighted("upsample_bilinear2d", 2, _linear)
_register_weighted("upsample_trilinear3d", 3, _linear)
_register_weighted("upsample_bicubic2d", 2, _cubic)
_register_weighted("_upsample_bilinear2d_aa", 2, _smooth(_triangle, 1.0))
_register_weighted("_upsample_bicubic2d_aa", 2, _smooth(lambda x: _cubic_kernel(x, -0.5), 2.0))

"""Images at places between their entries."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from unikeras.interop.operators._arrays import cut, reshape, shape
from unikeras.interop.operators._rules import register_operator

LINEAR, NEAREST, CUBIC = 0, 1, 2
ZEROS, BORDER, REFLECTION = 0, 1, 2


@register_operator("aten.grid_sampler", "aten.grid_sampler_2d", "aten.grid_sampler_3d")
def sample(
    x: Any,
    grid: Any,
    interpolation_mode: int = LINEAR,
    padding_mode: int = ZEROS,
    align_corners: bool = False,
) -> Any:
    """Return (batch, channels, places): torch's grid has x, y and z at its end, from -1 to 1."""
    sizes = x.shape[2:]
    places = []
    for axis, size in enumerate(sizes):
        place = cut(grid, -1, len(sizes) - 1 - axis)
        place = (place + 1) / 2 * (size - 1) if align_corners else ((place + 1) * size - 1) / 2
        # Cubic weights come of the place itself; what they weigh is padded entry by entry.
        if interpolation_mode != CUBIC:
            place = _padded(place, size, padding_mode, align_corners)
        places.append(place)
    taps = [_taps(place, interpolation_mode) for place in places]
    total: Any = 0
    for choice in itertools.product(*taps):
        weight: Any = 1
        indices = []
        for (index, share), size in zip(choice, sizes, strict=True):
            if interpolation_mode == CUBIC:
                index = _padded(index, size, padding_mode, align_corners)
            is_inside = ops.logical_and(index >= 0, index <= size - 1)
            weight = weight * share * ops.cast(is_inside, x.dtype)
            indices.append(ops.cast(ops.clip(index, 0, size - 1), "int32"))
        total = total + _gathered(x, indices) * ops.expand_dims(weight, 1)
    return total


def _taps(place: Any, mode: int) -> list[tuple[Any, Any]]:
    """Return the entries of an axis that a place takes, and its share of each."""
    if mode == NEAREST:
        return [(ops.stop_gradient(ops.round(place)), 1)]
    first = ops.stop_gradient(ops.floor(place))
    share = place - first
    if mode == LINEAR:
        return [(first, 1 - share), (first + 1, share)]
    a = -0.75

    def near(d: Any) -> Any:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: Any) -> Any:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    weights = [far(share + 1), near(share), near(1 - share), far(2 - share)]
    return [(first + offset, weight) for offset, weight in zip(range(-1, 3), weights, strict=True)]


def _padded(place: Any, size: int, mode: int, align_corners: bool) -> Any:
    """Move a place into the axis, where the mode asks for it."""
    if mode == REFLECTION:
        low, high = (0.0, size - 1.0) if align_corners else (-0.5, size - 0.5)
        span = high - low
        if span == 0:
            return ops.zeros_like(place)
        distance = ops.abs(place - low)
        turns = ops.stop_gradient(ops.floor(distance / span))
        rest = distance - turns * span
        is_even = ops.equal(turns - 2 * ops.floor(turns / 2), 0)
        place = ops.where(is_even, rest + low, high - rest)
    return place if mode == ZEROS else ops.clip(place, 0, size - 1)


def _gathered(x: Any, indices: Sequence[Any]) -> Any:
    """Return the entries at indices of each example: (batch, channels, places)."""
    sizes = shape(x)
    flat: Any = 0
    for index, size in zip(indices, x.shape[2:], strict=True):
        flat = flat * size + index
    places = shape(flat)[1:]
    rows = reshape(flat, [sizes[0], 1, math.prod(places)])
    rows = ops.broadcast_to(rows, [*sizes[:2], math.prod(places)])
    found = ops.take_along_axis(reshape(x, [*sizes[:2], math.prod(x.shape[2:])]), rows, axis=-1)
    return reshape(found, [*sizes[:2], *places])


@register_operator("aten.affine_grid_generator")
def affine_grid(theta: Any, size: Sequence[Any], align_corners: bool) -> Any:
    sizes = size[2:]
    axes = [_steps(length, align_corners) for length in reversed(sizes)]
    # Places (axes, x y z 1), the last axis of the image first.
    mesh = np.meshgrid(*reversed(axes), indexing="ij")
    base = np.stack([*reversed(mesh), np.ones_like(mesh[0])], -1)
    flat = ops.cast(base.reshape(1, -1, len(sizes) + 1), theta.dtype)
    grid = ops.matmul(flat, ops.swapaxes(theta, 1, 2))
    return reshape(grid, [shape(theta)[0], *sizes, len(sizes)])


def _steps(count: int, align_corners: bool) -> np.ndarray:
    steps = np.linspace(-1, 1, count) if count > 1 else np.zeros(1)
    return steps if align_corners else steps * (count - 1) / count

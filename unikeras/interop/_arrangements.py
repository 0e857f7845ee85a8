"""How a tensor of a Keras model lies, compared with the tensor of torch that it stands for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from unikeras.interop._weight_links import Array, Place


@dataclass(frozen=True)
class Arrangement:
    """How a tensor of the Keras model lies, compared with the tensor of torch that it stands for.

    Attributes:
        axes: for each axis after the batch, which axis after the batch it is in torch; None: all are the same.
        order: for each feature of the last axis, which feature it is in torch; None: all are the same.
        places: the layers with weights whose outputs have had these features since they were made.
        after: the path of the layer that made them, where they were not mixed since.
    """

    axes: tuple[int, ...] | None = None
    order: Array | None = None
    places: tuple[Place, ...] = ()
    after: str = ""


PLAIN = Arrangement()


def wants_channels_last() -> bool:
    return bool(keras.config.image_data_format() == "channels_last")


def input_arrangement(tensor: Any) -> Arrangement:
    rank = len(tensor.shape) - 1
    return Arrangement(channels_last_axes(rank)) if rank >= 3 and wants_channels_last() else PLAIN


def spatial_arrangement(data_format: str, rank: int, given: Arrangement) -> Arrangement:
    if data_format != "channels_last" or rank < 2:
        return PLAIN
    return Arrangement(channels_last_axes(rank), after=given.after)


def channels_last_axes(rank: int) -> tuple[int, ...]:
    """Return where the axes (height, width, channels) are in (channels, height, width).

    Example:
        >>> channels_last_axes(3)
        (1, 2, 0)
    """
    return (*range(1, rank), 0)


def flat_order(axes: tuple[int, ...], shape: tuple[int, ...]) -> Array | None:
    """Return, for each feature of a flattened tensor, which feature it is in torch; None where all are the same.

    Example:
        >>> flat_order((1, 0), (2, 3)).tolist()
        [0, 2, 4, 1, 3, 5]
    """
    sizes = [0] * len(axes)
    for size, axis in zip(shape, axes, strict=True):
        sizes[axis] = size
    order = np.arange(math.prod(shape)).reshape(sizes).transpose(axes).reshape(-1)
    return None if np.array_equal(order, np.arange(order.size)) else order


def permuted_arrangement(operation: Any, given: Arrangement, rank: int) -> Arrangement:
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


def are_same(one: Arrangement, other: Arrangement) -> bool:
    if one.axes != other.axes:
        return False
    if one.order is None or other.order is None:
        return one.order is other.order
    return bool(np.array_equal(one.order, other.order))

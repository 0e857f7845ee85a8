"""The tensors of a graph that is being written, each with the order in which its axes lie."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


class Layout(enum.Enum):
    """The order of a tensor's axes.

    PLAIN is the order that the Keras graph has. CHANNELS_FIRST is the same tensor with the last axis moved
    to the second place, which is how torch's convolutions take images; Keras does not see the difference.
    Up to rank 2 the two are one.
    """

    PLAIN = "plain"
    CHANNELS_FIRST = "channels first"

    @classmethod
    def of(cls, data_format: str) -> Layout:
        """Return the layout in which a layer of this `data_format` has its channels second."""
        return cls.CHANNELS_FIRST if data_format == "channels_last" else cls.PLAIN


class Value:
    """A tensor of the graph.

    Args:
        proxy: the tensor, in the order of axes of `layout`.
        layout: the layout that it has from where it is computed; others are made once, when asked for.
        shape: the shape of the Keras tensor, in Keras' order of axes; None where an axis is open.
        dtype: the dtype of the Keras tensor.

    Attributes:
        mask: the value that Keras has as this tensor's mask, or None.
        order: for each feature of the last axis of a tensor of rank 2, which feature it is in `own`; None: all are
            the same. What was flattened with its channels first has one.
        image: the shape that these features were flattened from, channels last, where they all come from one image.
    """

    def __init__(
        self,
        proxy: Any,
        layout: Layout = Layout.PLAIN,
        shape: Sequence[int | None] = (),
        dtype: str = "float32",
    ) -> None:
        self._proxies = {layout: proxy}
        self.layout = layout
        self.shape = tuple(shape)
        self.dtype = dtype
        self.mask: Value | None = None
        self.order: np.ndarray[Any, Any] | None = None
        self.image: tuple[int, ...] = ()

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def plain(self) -> Any:
        """The tensor in Keras' order of axes."""
        return self.to(Layout.PLAIN)

    @property
    def own(self) -> Any:
        """The tensor as it lies."""
        return self._in(self.layout)

    def to(self, layout: Layout) -> Any:
        """Return the tensor in a layout, with its features in Keras' order."""
        return self._in(layout) if self.order is None else self.features(None)

    def features(self, order: np.ndarray[Any, Any] | None) -> Any:
        """Return a tensor of rank 2 with its features in an order, or in Keras'."""
        if same_order(order, self.order):
            return self.own
        if order is None and self.image:
            first = self.own.unflatten(1, (self.image[-1], *self.image[:-1]))
            return first.permute(0, *range(2, len(self.image) + 1), 1).flatten(1)
        places = np.arange(int(self.shape[-1] or 0)) if self.order is None else self.order
        places = places if order is None else places[np.argsort(order)]
        return self.own[:, places.tolist()]

    def _in(self, layout: Layout) -> Any:
        if layout not in self._proxies:
            self._proxies[layout] = self._moved(layout)
        return self._proxies[layout]

    def _moved(self, layout: Layout) -> Any:
        (lying,) = self._proxies.values()
        if self.rank <= 2:
            return lying
        if all(size == 1 for size in self.shape[1:-1]):
            return lying.reshape((-1, *physical_shape(self.shape, layout)[1:]))
        spatial = range(1, self.rank - 1)
        if layout is Layout.CHANNELS_FIRST:
            return lying.permute(0, self.rank - 1, *spatial)
        return lying.permute(0, *(axis + 1 for axis in spatial), 1)

    def axis(self, axis: int) -> int:
        """Return where an axis of the Keras tensor lies in `own`."""
        return physical_axis(axis, self.rank, self.layout)

    def map(self, function: Callable[[Any], Any]) -> Value:
        """Return what an elementwise function makes of this value, in the same layout."""
        value = Value(function(self.own), self.layout, self.shape, self.dtype)
        value.order, value.image = self.order, self.image
        return value


def physical_axis(axis: int, rank: int, layout: Layout) -> int:
    """Return where an axis lies in a layout.

    Example:
        >>> physical_axis(-1, 4, Layout.CHANNELS_FIRST), physical_axis(1, 4, Layout.CHANNELS_FIRST)
        (1, 2)
    """
    axis = axis % rank
    if layout is Layout.PLAIN or rank <= 2 or axis == 0:
        return axis
    return 1 if axis == rank - 1 else axis + 1


def physical_shape(shape: Sequence[int | None], layout: Layout) -> tuple[int | None, ...]:
    """Return a shape in the order of axes of a layout.

    Example:
        >>> physical_shape((None, 5, 6, 3), Layout.CHANNELS_FIRST)
        (None, 3, 5, 6)
    """
    if layout is Layout.PLAIN or len(shape) <= 2:
        return tuple(shape)
    return (shape[0], shape[-1], *shape[1:-1])


def common_layout(values: Sequence[Value]) -> Layout:
    """Return the layout in which values meet: Keras' own where their ranks differ; scalars fit anywhere."""
    tensors = [value for value in values if value.rank]
    alike = len({value.rank for value in tensors}) == 1
    in_front = any(value.layout is Layout.CHANNELS_FIRST for value in tensors)
    return Layout.CHANNELS_FIRST if alike and in_front else Layout.PLAIN


def same_order(one: np.ndarray[Any, Any] | None, other: np.ndarray[Any, Any] | None) -> bool:
    """Say whether two orders of features are the same."""
    return one is other or (one is not None and other is not None and np.array_equal(one, other))


def flat_channels_first(shape: Sequence[int]) -> np.ndarray[Any, Any] | None:
    """Return, for each feature of a flattened image, which it is where channels come first; None where all stay.

    Args:
        shape: of the image, channels last, without the batch.

    Example:
        >>> flat_channels_first((3, 2)).tolist()
        [0, 3, 1, 4, 2, 5]
    """
    first = np.arange(math.prod(shape)).reshape(shape[-1], *shape[:-1])
    order = np.moveaxis(first, 0, -1).reshape(-1)
    return None if np.array_equal(order, np.arange(order.size)) else order

"""Operators that order elements, search in order, or run along an axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from keras import ops

from unikeras.errors import ArgumentValueError
from unikeras.interop.operators._arrays import constant, cut, dtype_here, is_bool, is_real, shape
from unikeras.interop.operators._mixed_operators import logaddexp
from unikeras.interop.operators._rules import register_operator


def _order(x: Any, dim: int, descending: bool) -> Any:
    """Return the order of an axis; equal elements keep theirs, and NaN counts as infinity."""
    if is_real(x):
        x = ops.where(ops.isnan(x), constant(math.inf, x), x)  # TensorFlow orders nothing beside NaN
    elif is_bool(x):
        x = ops.cast(x, "int32")
    if not descending:
        return ops.argsort(x, axis=dim)
    # Backwards and back, so that equal elements keep their order.
    return shape(x)[dim] - 1 - ops.flip(ops.argsort(ops.flip(x, dim), axis=dim), dim)


@register_operator("aten.sort.default")
def sort(x: Any, dim: int = -1, descending: bool = False) -> tuple[Any, Any]:
    """Return the elements of an axis in order, and where they were."""
    if not len(x.shape):
        return x, ops.zeros((), dtype="int32")
    order = _order(x, dim, descending)
    return ops.take_along_axis(x, order, axis=dim), order


@register_operator("aten.sort.stable")
def sort_stable(
    x: Any, *, stable: bool | None = None, dim: int = -1, descending: bool = False
) -> tuple[Any, Any]:
    """Return the elements of an axis in order, and where they were; each sort here is stable."""
    return sort(x, dim, descending)


@register_operator("aten.argsort.default")
def argsort(x: Any, dim: int = -1, descending: bool = False) -> Any:
    """Return where the elements of an axis are when they are in order."""
    return sort(x, dim, descending)[1]


@register_operator("aten.argsort.stable")
def argsort_stable(x: Any, *, stable: bool = True, dim: int = -1, descending: bool = False) -> Any:
    """Return where the elements of an axis are when they are in order; each sort here is stable."""
    return sort(x, dim, descending)[1]


@register_operator("aten.topk")
def topk(x: Any, k: Any, dim: int = -1, largest: bool = True, sorted: bool = True) -> tuple[Any, Any]:
    """Return the k largest or smallest elements of an axis in order, and their places, of equal ones the first."""
    if not largest or not isinstance(k, int):
        values, order = sort(x, dim, largest)
        return cut(values, dim, slice(None, k)), cut(order, dim, slice(None, k))
    values, places = ops.top_k(ops.moveaxis(x, dim, -1), k)
    return ops.moveaxis(values, -1, dim), ops.moveaxis(places, -1, dim)


@register_operator("aten.kthvalue")
def kthvalue(x: Any, k: int, dim: int = -1, keepdim: bool = False) -> tuple[Any, Any]:
    """Return the k-th smallest element of an axis, and its place."""
    place = slice(k - 1, k) if keepdim else k - 1
    values, order = sort(x, dim)
    return cut(values, dim, place), cut(order, dim, place)


def _summed(x: Any, dtype: str | None) -> Any:
    return x if dtype is None and is_real(x) else ops.cast(x, dtype_here(dtype or "int64"))


@register_operator("aten.cumsum")
def cumsum(x: Any, dim: int, *, dtype: str | None = None) -> Any:
    """Return the sums up to each place of an axis."""
    x = _summed(x, dtype)
    return ops.cumsum(x, axis=dim) if len(x.shape) else x


def _running(combine: Callable[[Any, Any], Any], parts: Sequence[Any], dim: int) -> list[Any]:
    """Combine what is up to each place of an axis, in steps that double; `combine` takes the earlier parts first."""
    length, shift = parts[0].shape[dim], 1
    if length is None:
        raise ArgumentValueError(
            "this runs along an axis whose size must be known; only others may be dynamic"
        )
    while shift < length:
        before = [cut(one, dim, slice(None, -shift)) for one in parts]
        after = [cut(one, dim, slice(shift, None)) for one in parts]
        starts = [cut(one, dim, slice(None, shift)) for one in parts]
        both = combine(before, after)
        parts = [ops.concatenate(pair, axis=dim) for pair in zip(starts, both, strict=True)]
        shift *= 2
    return list(parts)


@register_operator("aten.cumprod")
def cumprod(x: Any, dim: int, *, dtype: str | None = None) -> Any:
    """Return the products up to each place of an axis. Keras' own has no gradient beside a 0 on TensorFlow."""
    x = _summed(x, dtype)
    return _running(lambda a, b: [a[0] * b[0]], [x], dim)[0] if len(x.shape) else x


@register_operator("aten.logcumsumexp", "aten._logcumsumexp")
def logcumsumexp(x: Any, dim: int) -> Any:
    """Return the logarithms of the sums of exponentials up to each place of an axis."""
    return _running(lambda a, b: [logaddexp(a[0], b[0])], [x], dim)[0] if len(x.shape) else x


def _best_so_far(x: Any, dim: int, wins: Callable[[Any, Any], Any]) -> tuple[Any, Any]:
    sizes = [1] * len(x.shape)
    sizes[dim] = -1
    places = ops.broadcast_to(ops.reshape(ops.arange(shape(x)[dim]), sizes), shape(x))

    def later(a: Sequence[Any], b: Sequence[Any]) -> list[Any]:
        takes = wins(b[0], a[0])
        return [ops.where(takes, two, one) for one, two in zip(a, b, strict=True)]

    _, order = _running(later, [ops.stop_gradient(x), places], dim)
    return ops.take_along_axis(x, order, axis=dim), order


@register_operator("aten.cummax")
def cummax(x: Any, dim: int) -> tuple[Any, Any]:
    """Return the largest elements up to each place of an axis, and their places, of equal ones the last."""
    return _best_so_far(x, dim, ops.greater_equal)


@register_operator("aten.cummin")
def cummin(x: Any, dim: int) -> tuple[Any, Any]:
    """Return the smallest elements up to each place of an axis, and their places, of equal ones the last."""
    return _best_so_far(x, dim, ops.less_equal)


@register_operator("aten.diff")
def diff(x: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Return the differences of neighbors along an axis, n times."""
    parts = [one for one in (prepend, x, append) if one is not None]
    x = ops.concatenate(parts, axis=dim) if len(parts) > 1 else x
    for _ in range(n):
        after, before = cut(x, dim, slice(1, None)), cut(x, dim, slice(None, -1))
        x = ops.logical_xor(after, before) if is_bool(x) else after - before
    return x


@register_operator("aten.searchsorted.Tensor", "aten.searchsorted.Scalar")
def searchsorted(
    boundaries: Any,
    x: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Any:
    """Return where each value would stand among ordered boundaries, whose last axis is searched."""
    if sorter is not None:
        boundaries = ops.take_along_axis(boundaries, sorter, axis=-1)
    x = ops.convert_to_tensor(x, dtype=boundaries.dtype) if isinstance(x, (int, float)) else x
    if len(boundaries.shape) > 1:
        boundaries = ops.expand_dims(boundaries, -2)
    compare = ops.less_equal if right or side == "right" else ops.less
    return ops.sum(ops.cast(compare(boundaries, ops.expand_dims(x, -1)), "int32"), axis=-1)


@register_operator("aten.bucketize")
def bucketize(x: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """Return the bucket of each value, between ordered boundaries."""
    return searchsorted(boundaries, x, right=right)

"""Operators that write places, as new tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from unikeras.interop.operators._arrays import constant, cut, is_bool, is_tensor, part, reshape, shape
from unikeras.interop.operators._index_operators import places_of
from unikeras.interop.operators._rules import register_operator


@register_operator("aten.slice_scatter")
def slice_scatter(
    x: Any, values: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Any:
    """Return x with other values in a slice of one axis."""
    values = ops.cast(values, x.dtype)
    taken = part(start, end, step)
    if step == 1:
        ends = [cut(x, dim, slice(None, taken.start or 0)), values]
        if taken.stop is not None:
            ends.append(cut(x, dim, slice(taken.stop, None)))
        return ops.concatenate(ends, axis=dim)
    places = ops.arange(shape(x)[dim])[taken]
    return _write_axis(x, dim, places, values)


def _write_axis(x: Any, dim: int, places: Any, values: Any, reduction: str | None = None) -> Any:
    """Return x with other values in the places of one axis that integers name, or with them added."""
    moved, values = ops.moveaxis(x, dim, 0), ops.moveaxis(values, dim, 0)
    return ops.moveaxis(_write(moved, places, values, reduction), 0, dim)


def _write(x: Any, places: Any, values: Any, reduction: str | None = None) -> Any:
    indices = ops.expand_dims(ops.cast(places, "int32"), -1)
    return ops.scatter_update(x, indices, values, *([] if reduction is None else [reduction]))


@register_operator("aten.select_scatter")
def select_scatter(x: Any, values: Any, dim: int, index: Any) -> Any:
    """Return x with other values in one place of an axis."""
    end = None if isinstance(index, int) and index == -1 else index + 1
    return slice_scatter(x, ops.expand_dims(values, dim), dim, index, end)


@register_operator("aten.index_put", "aten._unsafe_index_put")
def index_put(x: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Any:
    """Return x with values in the places that integers name, or with them added; a mask takes one value."""
    values = ops.cast(values, x.dtype)
    masks = [index for index in indices if index is not None]
    if len(masks) == 1 and is_bool(masks[0]) and _is_single(values):
        return _put_mask(x, indices, ops.reshape(values, ()), accumulate)
    found = places_of(x, indices)
    rest, place = shape(found.flat)[1:], found.place[0] if found.place else 0
    values = ops.broadcast_to(values, [*rest[:place], *shape(found.numbers), *rest[place:]])
    values = reshape(ops.moveaxis(values, found.place, found.front), [-1, *rest])
    numbers = ops.reshape(found.numbers, (-1,))
    flat = _write(found.flat, numbers, values, "add" if accumulate else None)
    back = [found.order.index(axis) for axis in range(len(found.order))]
    return ops.transpose(reshape(flat, [found.sizes[axis] for axis in found.order]), back)


def _is_single(values: Any) -> bool:
    return all(size == 1 for size in values.shape)


def _put_mask(x: Any, indices: Sequence[Any], value: Any, accumulate: bool) -> Any:
    first = next(axis for axis, index in enumerate(indices) if index is not None)
    mask = indices[first]
    after = len(x.shape) - first - len(mask.shape)
    mask = reshape(mask, [*shape(mask), *[1] * after])
    return ops.where(mask, x + value if accumulate else value, x)


def _flat_places(x: Any, dim: int, index: Any) -> Any:
    """Return the places in the flat x that an index along an axis names; its other axes may be shorter than x's."""
    sizes, lengths, rank = shape(x), shape(index), len(x.shape)
    numbers: Any = 0
    for axis in range(rank):
        if axis == dim % rank:
            one = ops.cast(index, "int32")
        else:
            one = ops.reshape(ops.arange(lengths[axis], dtype="int32"), [-1] + [1] * (rank - axis - 1))
        numbers = numbers * sizes[axis] + one
    return ops.reshape(ops.broadcast_to(numbers, lengths), (-1,))


def _scatter(x: Any, dim: int, index: Any, values: Any, reduction: str | None = None) -> Any:
    if not len(x.shape):
        return reshape(_scatter(ops.reshape(x, (1,)), 0, ops.reshape(index, (1,)), values, reduction), [])
    if is_tensor(values) and len(values.shape):
        for axis, size in enumerate(shape(index)):
            values = cut(values, axis, slice(None, size))
    else:
        values = ops.broadcast_to(constant(values, x), shape(index))
    places, values = _flat_places(x, dim, index), ops.reshape(values, (-1,))
    return reshape(_write(ops.reshape(x, (-1,)), places, values, reduction), shape(x))


@register_operator("aten.scatter.src", "aten.scatter.value")
def scatter(x: Any, dim: int, index: Any, values: Any) -> Any:
    """Return x with values in the places along an axis that integers name."""
    return _scatter(x, dim, index, values)


@register_operator("aten.scatter.reduce", "aten.scatter.value_reduce")
def scatter_by(x: Any, dim: int, index: Any, values: Any, *, reduce: str) -> Any:
    """Return x with values added or multiplied in the places along an axis."""
    return _scatter(x, dim, index, values, {"add": "add", "multiply": "mul"}[reduce])


@register_operator("aten.scatter_add")
def scatter_add(x: Any, dim: int, index: Any, values: Any) -> Any:
    """Return x with values added in the places along an axis that integers name."""
    return _scatter(x, dim, index, values, "add")


@register_operator("aten.scatter_reduce.two")
def scatter_reduce(
    x: Any, dim: int, index: Any, values: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """Return x reduced with values in the places along an axis, or only the values there."""
    reduction = {"sum": "add", "mean": "add", "prod": "mul", "amax": "max", "amin": "min"}[reduce]
    counts = _scatter(ops.zeros_like(x), dim, index, ops.ones_like(values), "add")
    if not include_self:
        start = {"add": 0.0, "mul": 1.0, "max": -float("inf"), "min": float("inf")}[reduction]
        x = ops.where(ops.greater(counts, 0), constant(start, x), x)
    result = _scatter(x, dim, index, values, reduction)
    if reduce == "mean":
        result = result / ops.maximum(counts + 1 if include_self else counts, constant(1, x))
    return result


@register_operator("aten.index_add")
def index_add(x: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    """Return x with a source added in the places of an axis."""
    return _write_axis(x, dim, index, source if alpha == 1 else source * constant(alpha, source), "add")


@register_operator("aten.index_copy")
def index_copy(x: Any, dim: int, index: Any, source: Any) -> Any:
    """Return x with a source in the places of an axis."""
    return _write_axis(x, dim, index, source)


@register_operator("aten.index_fill")
def index_fill(x: Any, dim: int, index: Any, value: Any) -> Any:
    """Return x with one value in the places of an axis."""
    sizes = shape(x)
    sizes[dim] = shape(index)[0]
    return _write_axis(x, dim, index, ops.broadcast_to(constant(value, x), sizes))

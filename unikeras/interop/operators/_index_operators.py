"""Operators that read places which tensors name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from keras import ops

from unikeras.errors import ArgumentValueError
from unikeras.interop.operators._arrays import constant, cut, is_bool, reshape, shape
from unikeras.interop.operators._rules import register_operator


class Places(NamedTuple):
    """Where the indices of several axes point.

    Attributes:
        flat: the tensor, its indexed axes first and as one.
        numbers: places in that axis.
        order: the axes of the tensor, the indexed ones first.
        sizes: of the tensor.
        front: where the axes of `numbers` are in a result that has them first.
        place: where torch has them.
    """

    flat: Any
    numbers: Any
    order: list[int]
    sizes: list[Any]
    front: list[int]
    place: list[int]


def places_of(x: Any, indices: Sequence[Any]) -> Places:
    """Return the places that indices name, None where an axis is whole."""
    at = [axis for axis, index in enumerate(indices) if index is not None]
    if any(is_bool(indices[axis]) for axis in at):
        raise ArgumentValueError(
            "an index of bools has a result of any size, which no compiled program has; use torch.where"
        )
    sizes = shape(x)
    order = at + [axis for axis in range(len(sizes)) if axis not in at]
    numbers: Any = 0
    for axis in at:
        index = ops.cast(indices[axis], "int32")
        numbers = numbers * sizes[axis] + ops.where(ops.less(index, 0), index + sizes[axis], index)
    whole: Any = 1
    for axis in at:
        whole = whole * sizes[axis]
    flat = reshape(ops.transpose(x, order), [whole, *(sizes[axis] for axis in order[len(at) :])])
    rank = len(numbers.shape)
    # torch leaves neighboring indices where they are, and moves others to the front.
    place = at[0] if at == list(range(at[0], at[-1] + 1)) else 0
    return Places(flat, numbers, order, sizes, list(range(rank)), list(range(place, place + rank)))


@register_operator("aten.index.Tensor", "aten._unsafe_index")
def index(x: Any, indices: Sequence[Any]) -> Any:
    """Return the places that integers name, in some axes."""
    found = places_of(x, indices)
    return ops.moveaxis(ops.take(found.flat, found.numbers, axis=0), found.front, found.place)


@register_operator("aten._unsafe_masked_index")
def masked_index(x: Any, mask: Any, indices: Sequence[Any], fill: Any) -> Any:
    """Return the places that integers name, and a value where a mask is false."""
    sizes = shape(x)
    inside = [
        None if one is None else ops.clip(ops.cast(one, "int32"), 0, sizes[axis] - 1)
        for axis, one in enumerate(indices)
    ]
    return ops.where(mask, index(x, inside), constant(fill, x))


@register_operator("aten.index_select")
def index_select(x: Any, dim: int, index: Any) -> Any:
    """Return the places of one axis that integers name."""
    if not len(x.shape):
        return x
    return ops.take(x, ops.reshape(index, (-1,)), axis=dim)


@register_operator("aten.take")
def take(x: Any, index: Any) -> Any:
    """Return places of a tensor as if it had one axis."""
    return ops.take(ops.reshape(x, (-1,)), index, axis=0)


@register_operator("aten.gather")
def gather(x: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
    """Return elements along an axis; the other axes of the index may be shorter than those of x."""
    if not len(x.shape):
        return x
    for axis in range(len(x.shape)):
        if axis != dim % len(x.shape):
            x = cut(x, axis, slice(None, shape(index)[axis]))
    return ops.take_along_axis(x, index, axis=dim)


@register_operator("aten.masked_fill")
def masked_fill(x: Any, mask: Any, value: Any) -> Any:
    """Return x, and a value where a mask is true."""
    return ops.where(mask, constant(value, x), x)


@register_operator("aten.masked_scatter")
def masked_scatter(x: Any, mask: Any, source: Any) -> Any:
    """Return x, and the elements of a source one after the other where a mask is true."""
    mask = ops.broadcast_to(mask, shape(x))
    order = ops.reshape(ops.cumsum(ops.cast(ops.reshape(mask, (-1,)), "int32")) - 1, shape(x))
    source = ops.reshape(source, (-1,))
    return ops.where(mask, ops.take(source, ops.maximum(order, 0), axis=0), x)

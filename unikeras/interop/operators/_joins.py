"""Operators that join tensors, take them apart, and repeat them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from unikeras.errors import ArgumentValueError
from unikeras.interop.operators._arrays import cut, reshape, shape
from unikeras.interop.operators._rules import register_operator


def _of_one_dtype(tensors: Sequence[Any]) -> list[Any]:
    dtypes = {keras.backend.standardize_dtype(x.dtype) for x in tensors}
    if len(dtypes) == 1:
        return list(tensors)
    return [ops.cast(x, keras.backend.result_type(*dtypes)) for x in tensors]


@register_operator("aten.cat", "aten.concat", "aten.concatenate")
def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Join tensors along an axis; torch leaves out empty ones of one axis, whatever the rank of the others."""
    rank = max(len(x.shape) for x in tensors)
    joined = [x for x in tensors if len(x.shape) == rank or tuple(x.shape) != (0,)]
    return ops.concatenate(_of_one_dtype(joined), axis=dim)


@register_operator("aten.stack")
def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Join tensors along a new axis."""
    return ops.stack(_of_one_dtype(tensors), axis=dim)


@register_operator("aten.split_with_sizes", "aten.split.sizes", "aten.split_with_sizes_copy")
def split_with_sizes(x: Any, sizes: Sequence[Any], dim: int = 0) -> list[Any]:
    """Take an axis apart into pieces of given sizes."""
    pieces, start = [], 0
    for size in sizes:
        pieces.append(cut(x, dim, slice(start, start + size)))
        start = start + size
    return pieces


@register_operator("aten.split.Tensor", "aten.split_copy")
def split(x: Any, size: Any, dim: int = 0) -> list[Any]:
    """Take an axis apart into pieces of one size; the last one may be smaller."""
    whole = shape(x)[dim]
    if not (isinstance(whole, int) and isinstance(size, int)):
        raise ArgumentValueError("an axis of any size has no number of pieces; split it with torch.chunk")
    return [cut(x, dim, slice(start, start + size)) for start in range(0, max(whole, 1), max(size, 1))]


@register_operator("aten.chunk")
def chunk(x: Any, chunks: int, dim: int = 0) -> list[Any]:
    """Take an axis apart into a number of pieces, or fewer where it is short; an axis of any size is not."""
    whole = shape(x)[dim]
    size = (whole + chunks - 1) // chunks
    if isinstance(whole, int):
        return split(x, size, dim)
    return [cut(x, dim, slice(place * size, (place + 1) * size)) for place in range(chunks)]


@register_operator("aten.unbind", "aten.unbind_copy")
def unbind(x: Any, dim: int = 0) -> list[Any]:
    """Return the places of an axis."""
    if x.shape[dim] is None:
        raise ArgumentValueError("an axis of any size has no number of places to unbind")
    return [cut(x, dim, place) for place in range(x.shape[dim])]


@register_operator("aten.repeat", "aten.tile")
def repeat(x: Any, repeats: Sequence[Any]) -> Any:
    """Repeat whole axes; new ones are at the front."""
    rank = max(len(repeats), len(x.shape))
    own = [1] * (rank - len(x.shape)) + shape(x)
    times = [1] * (rank - len(repeats)) + list(repeats)
    pairs = reshape(x, [size for one in own for size in (1, one)])
    wide = ops.broadcast_to(
        pairs, [size for one, count in zip(own, times, strict=True) for size in (count, one)]
    )
    return reshape(wide, [one * count for one, count in zip(own, times, strict=True)])


@register_operator("aten.repeat_interleave.self_int")
def repeat_interleave(x: Any, repeats: Any, dim: int | None = None, **_: Any) -> Any:
    """Repeat each element of an axis, or each element of all."""
    if dim is None:
        x, dim = ops.reshape(x, (-1,)), 0
    axis, sizes = dim % len(x.shape), shape(x)
    wide = ops.broadcast_to(ops.expand_dims(x, axis + 1), [*sizes[: axis + 1], repeats, *sizes[axis + 1 :]])
    return reshape(wide, [*sizes[:axis], sizes[axis] * repeats, *sizes[axis + 1 :]])

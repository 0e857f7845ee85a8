"""Operators that show a tensor in another shape, and slices. No memory is shared: tensors of Keras never change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from unikeras.interop.operators._arrays import cut, part, reshape, shape
from unikeras.interop.operators._rules import register_operator


@register_operator(
    "aten.view.default", "aten._unsafe_view", "aten.reshape", "aten._reshape_alias", "aten.view_copy"
)
def view(x: Any, size: Sequence[Any], *_: Any) -> Any:
    """Return the elements in another shape."""
    return reshape(x, size)


@register_operator("aten.view_as", "aten.reshape_as")
def view_as(x: Any, other: Any) -> Any:
    """Return the elements in the shape of another tensor."""
    return reshape(x, shape(other))


@register_operator("aten.flatten.using_ints")
def flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Return a range of axes as one."""
    sizes = shape(x)
    if not sizes:
        return ops.reshape(x, (1,))
    first, last = start_dim % len(sizes), end_dim % len(sizes)
    return reshape(x, [*sizes[:first], _product(sizes[first : last + 1]), *sizes[last + 1 :]])


def _product(sizes: Sequence[Any]) -> Any:
    total: Any = 1
    for size in sizes:
        total = total * size
    return total


@register_operator("aten.unflatten.int")
def unflatten(x: Any, dim: int, sizes: Sequence[Any]) -> Any:
    """Return an axis as several, of which one may be -1."""
    whole, axis = shape(x), dim % len(x.shape)
    if any(isinstance(size, int) and size == -1 for size in sizes):
        known = _product([size for size in sizes if not (isinstance(size, int) and size == -1)])
        sizes = [whole[axis] // known if isinstance(size, int) and size == -1 else size for size in sizes]
    return reshape(x, [*whole[:axis], *sizes, *whole[axis + 1 :]])


@register_operator("aten.expand", "aten.expand_copy")
def expand(x: Any, size: Sequence[Any], **_: Any) -> Any:
    """Repeat axes of one element; -1 keeps the size of an axis, and new axes are at the front."""
    own = [1] * (len(size) - len(x.shape)) + shape(x)
    kept = [one if isinstance(new, int) and new == -1 else new for one, new in zip(own, size, strict=True)]
    return ops.broadcast_to(x, kept)


@register_operator("aten.expand_as")
def expand_as(x: Any, other: Any) -> Any:
    """Repeat axes of one element to the shape of another tensor."""
    return ops.broadcast_to(x, shape(other))


@register_operator("prims.broadcast_in_dim")
def broadcast_in_dim(x: Any, size: Sequence[Any], broadcast_dimensions: Sequence[int]) -> Any:
    """Repeat a tensor whose axes are named in the larger shape."""
    new = [axis for axis in range(len(size)) if axis not in broadcast_dimensions]
    return ops.broadcast_to(ops.expand_dims(x, new) if new else x, list(size))


@register_operator("aten.permute", "aten.permute_copy")
def permute(x: Any, dims: Sequence[int]) -> Any:
    """Return the axes in another order."""
    return ops.transpose(x, [axis % len(x.shape) for axis in dims]) if dims else x


@register_operator("aten.transpose.int", "aten.transpose_copy", "aten.swapaxes", "aten.swapdims")
def transpose(x: Any, dim0: int, dim1: int) -> Any:
    """Swap two axes."""
    return ops.swapaxes(x, dim0, dim1) if len(x.shape) else x


@register_operator("aten.t", "aten.t_copy", "aten.numpy_T")
def transpose_matrix(x: Any) -> Any:
    """Swap the axes of a matrix."""
    return ops.transpose(x) if len(x.shape) > 1 else x


@register_operator("aten.mT", "aten.adjoint")
def transpose_matrices(x: Any) -> Any:
    """Swap the last two axes."""
    return ops.swapaxes(x, -1, -2)


@register_operator("aten.movedim.int", "aten.movedim.intlist", "aten.moveaxis.int", "aten.moveaxis.intlist")
def movedim(x: Any, source: Any, destination: Any) -> Any:
    """Move axes."""
    return ops.moveaxis(x, source, destination)


@register_operator("aten.unsqueeze", "aten.unsqueeze_copy")
def unsqueeze(x: Any, dim: int) -> Any:
    """Return a new axis of one element."""
    return ops.expand_dims(x, dim)


@register_operator("aten.squeeze.default")
def squeeze_all(x: Any) -> Any:
    """Leave out all axes of one element; an axis of any size is not one of them."""
    return squeeze(x, list(range(len(x.shape))))


@register_operator("aten.squeeze.dim", "aten.squeeze.dims", "aten.squeeze_copy")
def squeeze(x: Any, dim: int | Sequence[int]) -> Any:
    """Leave out those of some axes that have one element."""
    dims = [dim] if isinstance(dim, int) else dim
    out = [
        axis for axis in (axis % max(len(x.shape), 1) for axis in dims) if len(x.shape) and x.shape[axis] == 1
    ]
    return ops.squeeze(x, tuple(out)) if out else x


@register_operator("aten.slice.Tensor", "aten.slice_copy")
def slice_axis(x: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    """Return a slice of one axis; what is out of range is left out."""
    return cut(x, dim, part(start, end, step))


@register_operator("aten.select.int", "aten.select_copy")
def select(x: Any, dim: int, index: Any) -> Any:
    """Return one place of an axis."""
    return cut(x, dim, index)


@register_operator("aten.narrow.default", "aten.narrow_copy")
def narrow(x: Any, dim: int, start: Any, length: Any) -> Any:
    """Return some places of an axis."""
    if isinstance(start, int) and start < 0:
        start = start + shape(x)[dim]
    return cut(x, dim, slice(start, start + length))


@register_operator("aten.diagonal", "aten.diagonal_copy", "aten.linalg_diagonal")
def diagonal(x: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """Return a diagonal of two axes as the last axis."""
    x = ops.moveaxis(x, (dim1, dim2), (-2, -1))
    rows, columns = shape(x)[-2:]
    x = x[..., max(-offset, 0) :, max(offset, 0) :]
    rows, columns = rows - max(-offset, 0), columns - max(offset, 0)
    length = (
        min(rows, columns)
        if isinstance(rows, int) and isinstance(columns, int)
        else ops.minimum(rows, columns)
    )
    on_diagonal = ops.equal(ops.expand_dims(ops.arange(rows), 1), ops.arange(columns))
    return ops.sum(ops.where(on_diagonal, x, ops.zeros_like(x)), axis=-1)[..., :length]


@register_operator("aten.unfold", "aten.unfold_copy")
def unfold(x: Any, dimension: int, size: int, step: int) -> Any:
    """Return windows of an axis, the places in a window as the last axis."""
    axis = dimension % len(x.shape)
    count = (shape(x)[axis] - size) // step + 1
    places = ops.expand_dims(ops.arange(count) * step, 1) + ops.arange(size)
    return ops.moveaxis(ops.take(x, places, axis=axis), axis + 1, -1)


@register_operator("aten.flip")
def flip(x: Any, dims: Sequence[int]) -> Any:
    """Return axes in reverse."""
    return ops.flip(x, tuple(dims)) if dims else x


@register_operator("aten.roll")
def roll(x: Any, shifts: Any, dims: Any = ()) -> Any:
    """Move the elements of axes, the last ones to the front."""
    shifts = [shifts] if not isinstance(shifts, (list, tuple)) else shifts
    if not isinstance(dims, int) and not dims:
        return reshape(ops.roll(ops.reshape(x, (-1,)), shifts[0], axis=0), shape(x))
    for shift, axis in zip(shifts, [dims] if isinstance(dims, int) else dims, strict=True):
        x = ops.roll(x, shift, axis=axis)
    return x

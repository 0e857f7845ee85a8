"""Casts and copies. A tensor of Keras never changes, so that a copy is the tensor itself."""

from __future__ import annotations

from typing import Any

from keras import ops

from unikeras.interop.operators._arrays import dtype_here, shape
from unikeras.interop.operators._rules import register_operator


@register_operator("aten._to_copy", "aten.to.dtype_layout")
def to_copy(x: Any, *, dtype: str | None = None, **_: Any) -> Any:
    """Return a tensor in another dtype."""
    return x if dtype is None else ops.cast(x, dtype_here(dtype))


@register_operator("aten.to.dtype", "prims.convert_element_type")
def to_dtype(x: Any, dtype: str, *_: Any, **__: Any) -> Any:
    """Return a tensor in another dtype."""
    return ops.cast(x, dtype_here(dtype))


@register_operator("aten.to.device")
def to_device(x: Any, device: Any, dtype: str, *_: Any, **__: Any) -> Any:
    """Return a tensor in another dtype; where it is, Keras decides."""
    return ops.cast(x, dtype_here(dtype))


@register_operator("aten.to.other", "aten.type_as")
def to_other(x: Any, other: Any, *_: Any, **__: Any) -> Any:
    """Return a tensor in the dtype of another one."""
    return ops.cast(x, other.dtype)


@register_operator(
    "aten.alias",
    "aten.clone",
    "aten.contiguous",
    "aten.lift",
    "aten.lift_fresh",
    "aten.lift_fresh_copy",
    "aten.resolve_conj",
    "aten.resolve_neg",
    "aten.positive",
    "prims.clone",
    "prims.view_of",
)
def same(x: Any, *_: Any, **__: Any) -> Any:
    """Return the tensor."""
    return x


@register_operator("aten.detach", "unikeras_program.stop")
def detach(x: Any) -> Any:
    """Return the tensor, which gets no gradient."""
    return ops.stop_gradient(x)


@register_operator("aten.copy")
def copy(x: Any, values: Any, *_: Any) -> Any:
    """Return values in the shape and the dtype of x."""
    return ops.broadcast_to(ops.cast(values, x.dtype), shape(x))

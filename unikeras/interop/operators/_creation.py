"""Operators that make tensors of sizes and numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from unikeras.errors import ArgumentValueError
from unikeras.interop.operators._arrays import dtype_here, in_dtype, is_tensor, shape
from unikeras.interop.operators._rules import register_operator


def _dtype_of(value: Any) -> Any:
    """Return the dtype that torch has for a number where none is asked for."""
    if is_tensor(value):
        return value.dtype
    if isinstance(value, bool):
        return "bool"
    return dtype_here("int64") if isinstance(value, int) else keras.config.floatx()


@register_operator("aten.full")
def full(size: Sequence[Any], fill_value: Any, *, dtype: str | None = None, **_: Any) -> Any:
    """Return one value in every place."""
    here = _dtype_of(fill_value) if dtype is None else dtype_here(dtype)
    value = (
        ops.cast(fill_value, here) if is_tensor(fill_value) else ops.convert_to_tensor(fill_value, dtype=here)
    )
    return ops.broadcast_to(value, list(size))


@register_operator("aten.full_like", "aten.fill")
def full_like(x: Any, fill_value: Any, *, dtype: str | None = None, **_: Any) -> Any:
    """Return one value in every place of a tensor."""
    value = in_dtype(fill_value, x.dtype if dtype is None else dtype_here(dtype))
    return ops.broadcast_to(value, shape(x))


@register_operator("aten.new_full")
def new_full(x: Any, size: Sequence[Any], fill_value: Any, *, dtype: str | None = None, **_: Any) -> Any:
    """Return one value in every place, in the dtype of another tensor."""
    return ops.broadcast_to(in_dtype(fill_value, x.dtype if dtype is None else dtype_here(dtype)), list(size))


def _register(value: float, of_sizes: Sequence[str], likes: Sequence[str], news: Sequence[str]) -> None:
    def of_size(size: Sequence[Any], *_: Any, dtype: str | None = None, **__: Any) -> Any:
        return full(size, value, dtype=dtype)

    def like(x: Any, *_: Any, dtype: str | None = None, **__: Any) -> Any:
        return full_like(x, value, dtype=dtype)

    def new(x: Any, size: Sequence[Any], *_: Any, dtype: str | None = None, **__: Any) -> Any:
        return new_full(x, size, value, dtype=dtype)

    rules: list[tuple[Callable[..., Any], Sequence[str]]] = [(of_size, of_sizes), (like, likes), (new, news)]
    for rule, names in rules:
        register_operator(*names)(rule)


# What is empty in torch has any values; here they are 0.
_register(
    0.0,
    ["aten.zeros", "aten.empty", "aten.empty_strided", "aten.empty_permuted"],
    ["aten.zeros_like", "aten.empty_like", "aten.zero"],
    ["aten.new_zeros", "aten.new_empty", "aten.new_empty_strided"],
)
_register(1.0, ["aten.ones"], ["aten.ones_like"], ["aten.new_ones"])


@register_operator("aten.scalar_tensor")
def scalar_tensor(value: Any, *, dtype: str | None = None, **_: Any) -> Any:
    """Return a number as a tensor; its dtype is a real one unless another is asked for."""
    return full([], value, dtype=dtype or keras.config.floatx())


@register_operator("aten.arange.default")
def arange_to(end: Any, *, dtype: str | None = None, **_: Any) -> Any:
    """Return the whole numbers from 0 to an end that is not among them."""
    return arange(0, end, 1, dtype=dtype)


@register_operator("aten.arange.start", "aten.arange.start_step")
def arange(start: Any, end: Any, step: Any = 1, *, dtype: str | None = None, **_: Any) -> Any:
    """Return numbers from a start by steps to an end that is not among them."""
    if not any(isinstance(number, float) for number in (start, end, step)):
        numbers = ops.arange(start, end, step, dtype=dtype_here("int64"))
        return numbers if dtype is None else ops.cast(numbers, dtype_here(dtype))
    here = keras.config.floatx() if dtype is None else dtype_here(dtype)
    if any(map(is_tensor, (start, end, step))):
        return ops.arange(start, end, step, dtype=here)
    return ops.convert_to_tensor(start + step * np.arange(math.ceil((end - start) / step)), dtype=here)


@register_operator("prims.iota")
def iota(length: Any, *, start: Any, step: Any, dtype: str, **_: Any) -> Any:
    """Return numbers from a start by steps."""
    return ops.cast(start + step * ops.arange(length, dtype=dtype_here("int64")), dtype_here(dtype))


@register_operator("aten.linspace")
def linspace(start: Any, end: Any, steps: int, *, dtype: str | None = None, **_: Any) -> Any:
    """Return numbers at equal distances, the end among them."""
    here = keras.config.floatx() if dtype is None else dtype_here(dtype)
    if is_tensor(start) or is_tensor(end):
        return ops.linspace(ops.cast(start, here), ops.cast(end, here), steps)
    return ops.convert_to_tensor(np.linspace(start, end, steps), dtype=here)


@register_operator("aten.logspace")
def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: str | None = None, **_: Any
) -> Any:
    """Return powers of a base whose exponents have equal distances."""
    here = keras.config.floatx() if dtype is None else dtype_here(dtype)
    return ops.convert_to_tensor(np.logspace(start, end, steps, base=base), dtype=here)


@register_operator("aten.eye.default")
def eye(n: Any, *, dtype: str | None = None, **_: Any) -> Any:
    """Return the identity matrix."""
    return eye_of(n, n, dtype=dtype)


@register_operator("aten.eye.m")
def eye_of(n: Any, m: Any, *, dtype: str | None = None, **_: Any) -> Any:
    """Return a matrix of ones on the diagonal."""
    ones = ops.equal(ops.expand_dims(ops.arange(n), 1), ops.arange(m))
    return ops.cast(ones, keras.config.floatx() if dtype is None else dtype_here(dtype))


def _below(x: Any, diagonal: Any) -> Any:
    """Say which places of matrices are on a diagonal or below it."""
    rows, columns = shape(x)[-2:]
    return ops.greater_equal(ops.expand_dims(ops.arange(rows), 1) + diagonal, ops.arange(columns))


@register_operator("aten.tril")
def tril(x: Any, diagonal: Any = 0) -> Any:
    """Return matrices with 0 above a diagonal."""
    return ops.where(_below(x, diagonal), x, ops.zeros_like(x))


@register_operator("aten.triu")
def triu(x: Any, diagonal: Any = 0) -> Any:
    """Return matrices with 0 below a diagonal."""
    return ops.where(_below(x, diagonal - 1), ops.zeros_like(x), x)


@register_operator("aten.tril_indices")
def tril_indices(row: int, col: int, offset: int = 0, **_: Any) -> Any:
    """Return the rows and the columns of the places on a diagonal or below it."""
    return ops.convert_to_tensor(np.stack(np.tril_indices(row, offset, col)), dtype=dtype_here("int64"))


@register_operator("aten.triu_indices")
def triu_indices(row: int, col: int, offset: int = 0, **_: Any) -> Any:
    """Return the rows and the columns of the places on a diagonal or above it."""
    return ops.convert_to_tensor(np.stack(np.triu_indices(row, offset, col)), dtype=dtype_here("int64"))


@register_operator("aten.one_hot")
def one_hot(x: Any, num_classes: int = -1) -> Any:
    """Return a 1 in the place of each class."""
    if num_classes < 0:
        raise ArgumentValueError(
            "one_hot needs num_classes: a traced program cannot ask tensors for their values"
        )
    return ops.cast(ops.equal(ops.expand_dims(x, -1), ops.cast(ops.arange(num_classes), x.dtype)), x.dtype)


@register_operator("aten.diag_embed")
def diag_embed(x: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Return matrices with the last axis on a diagonal."""
    size = shape(x)[-1] + abs(offset)
    rows, columns = ops.expand_dims(ops.arange(size), 1), ops.arange(size)
    padded = ops.pad(x, [(0, 0)] * (len(x.shape) - 1) + [(abs(offset), 0)])
    by_column = ops.expand_dims(padded, -2) if offset >= 0 else ops.expand_dims(padded, -1)
    on_diagonal = ops.equal(rows + offset, columns)
    matrices = ops.where(on_diagonal, by_column, ops.zeros_like(by_column))
    return ops.moveaxis(matrices, (-2, -1), (dim1, dim2))

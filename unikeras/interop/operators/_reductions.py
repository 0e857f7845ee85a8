"""Operators that reduce axes: sums, means, extremes, variances, norms."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from keras import ops

from unikeras.interop.operators._arrays import as_real, constant, dtype_here, is_bool, is_real, shape
from unikeras.interop.operators._rules import register_operator

Axes = int | Sequence[int] | None


def axes_of(x: Any, dim: Axes) -> list[int]:
    """Return the axes that a `dim` names, counted from the front: all for None and for an empty list."""
    rank = len(x.shape)
    if dim is None or (not isinstance(dim, int) and not dim):
        return list(range(rank))
    return [axis % rank if rank else 0 for axis in ([dim] if isinstance(dim, int) else dim)]


def count_of(x: Any, axes: Sequence[int], like: Any) -> Any:
    """Return how many elements a result is made of, as a tensor."""
    sizes = shape(x)
    count: Any = 1
    for axis in axes:
        count = count * sizes[axis]
    return constant(float(count) if isinstance(count, int) else count, like)


def _reduce(compute: Callable[..., Any], x: Any, dim: Axes, keepdim: bool) -> Any:
    return compute(x, axis=tuple(axes_of(x, dim)), keepdims=keepdim) if len(x.shape) else compute(x)


def _in_sums(x: Any, dtype: str | None) -> Any:
    """Return what is summed: in a dtype that is asked for, and integers and bools as int64."""
    if dtype is None and is_real(x):
        return x
    return ops.cast(x, dtype_here(dtype or "int64"))


@register_operator("aten.sum")
def sum_over(x: Any, dim: Axes = None, keepdim: bool = False, *, dtype: str | None = None) -> Any:
    """Return the sum."""
    return _reduce(ops.sum, _in_sums(x, dtype), dim, keepdim)


@register_operator("aten.nansum")
def nansum(x: Any, dim: Axes = None, keepdim: bool = False, *, dtype: str | None = None) -> Any:
    """Return the sum of what is a number."""
    kept = ops.where(ops.isnan(x), ops.zeros_like(x), x) if is_real(x) else x
    return sum_over(kept, dim, keepdim, dtype=dtype)


@register_operator("aten.mean")
def mean(x: Any, dim: Axes = None, keepdim: bool = False, *, dtype: str | None = None) -> Any:
    """Return the mean; of no elements it is NaN."""
    x = as_real(x) if dtype is None else ops.cast(x, dtype_here(dtype))
    return _reduce(ops.mean, x, dim, keepdim)


@register_operator("aten.prod.default")
def prod(x: Any, *, dtype: str | None = None) -> Any:
    """Return the product of all elements."""
    return ops.prod(_in_sums(x, dtype))


@register_operator("aten.prod.dim_int")
def prod_of_axis(x: Any, dim: int, keepdim: bool = False, *, dtype: str | None = None) -> Any:
    """Return the product along an axis."""
    return ops.prod(_in_sums(x, dtype), axis=dim, keepdims=keepdim)


@register_operator("aten.amax", "aten.max.default")
def amax(x: Any, dim: Axes = None, keepdim: bool = False) -> Any:
    """Return the largest element; equal ones share the gradient."""
    return _reduce(ops.max, x, dim, keepdim)


@register_operator("aten.amin", "aten.min.default")
def amin(x: Any, dim: Axes = None, keepdim: bool = False) -> Any:
    """Return the smallest element; equal ones share the gradient."""
    return _reduce(ops.min, x, dim, keepdim)


@register_operator("aten.aminmax")
def aminmax(x: Any, *, dim: int | None = None, keepdim: bool = False) -> tuple[Any, Any]:
    """Return the smallest and the largest element."""
    return amin(x, dim, keepdim), amax(x, dim, keepdim)


@register_operator("aten.max.dim")
def max_of_axis(x: Any, dim: int, keepdim: bool = False) -> tuple[Any, Any]:
    """Return the largest elements along an axis and their places, of equal ones the first, which gets the gradient."""
    return _taken(x, argmax(x, dim, True), dim, keepdim)


@register_operator("aten.min.dim")
def min_of_axis(x: Any, dim: int, keepdim: bool = False) -> tuple[Any, Any]:
    """Return the smallest elements along an axis and their places, of equal ones the first, which gets the gradient."""
    return _taken(x, argmin(x, dim, True), dim, keepdim)


def _taken(x: Any, places: Any, dim: int, keepdim: bool) -> tuple[Any, Any]:
    if not len(x.shape):
        return x, places
    values = ops.take_along_axis(x, places, axis=dim)
    return (values, places) if keepdim else (ops.squeeze(values, dim), ops.squeeze(places, dim))


@register_operator("aten.argmax")
def argmax(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the place of the largest element, of equal ones the first; NaN is larger than all."""
    return _place(ops.argmax, x, dim, keepdim, 1)


@register_operator("aten.argmin")
def argmin(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the place of the smallest element, of equal ones the first; NaN is smaller than all."""
    return _place(ops.argmin, x, dim, keepdim, -1)


def _place(compute: Callable[..., Any], x: Any, dim: int | None, keepdim: bool, nan: int) -> Any:
    """Return the place of an extreme; the first NaN is one, which TensorFlow would not find."""
    if not len(x.shape):
        return ops.zeros((), dtype="int32")
    if is_real(x):
        is_nan = ops.isnan(x)
        x = ops.where(
            ops.any(is_nan, axis=dim, keepdims=True), constant(nan, x) * ops.cast(is_nan, x.dtype), x
        )
    elif is_bool(x):
        x = ops.cast(x, "int32")
    return compute(x, axis=dim, keepdims=keepdim)


@register_operator("aten.all")
def all_of(x: Any, dim: Axes = None, keepdim: bool = False) -> Any:
    """Say whether all elements are true."""
    return _reduce(ops.all, ops.cast(x, "bool"), dim, keepdim)


@register_operator("aten.any")
def any_of(x: Any, dim: Axes = None, keepdim: bool = False) -> Any:
    """Say whether an element is true."""
    return _reduce(ops.any, ops.cast(x, "bool"), dim, keepdim)


@register_operator("aten.count_nonzero")
def count_nonzero(x: Any, dim: Axes = None) -> Any:
    """Return how many elements are not 0."""
    return sum_over(ops.not_equal(x, constant(0, x)), dim)


@register_operator("aten.logsumexp", "aten.special_logsumexp")
def logsumexp(x: Any, dim: Axes, keepdim: bool = False) -> Any:
    """Return the logarithm of the sum of exponentials, also where all of them are 0 or one is infinite."""
    x = as_real(x)
    largest = ops.stop_gradient(amax(x, dim, True))
    largest = ops.where(ops.isfinite(largest), largest, ops.zeros_like(largest))
    result = ops.log(sum_over(ops.exp(x - largest), dim, True)) + largest
    return result if keepdim or not len(x.shape) else ops.squeeze(result, axes_of(x, dim))


def _variance(x: Any, dim: Axes, correction: float | None, keepdim: bool) -> tuple[Any, Any]:
    x = as_real(x)
    center = mean(x, dim, True)
    squares = sum_over(ops.square(x - center), dim, keepdim)
    count = count_of(x, axes_of(x, dim), x) - (1.0 if correction is None else float(correction))
    return squares / ops.maximum(count, constant(0.0, x)), center if keepdim else mean(x, dim)


def _corrected(unbiased: bool) -> float:
    return 1.0 if unbiased else 0.0


@register_operator("aten.var.correction")
def var(x: Any, dim: Axes = None, *, correction: float | None = None, keepdim: bool = False) -> Any:
    """Return the variance, its divisor the count minus the correction, which is 1 unless it is given."""
    return _variance(x, dim, correction, keepdim)[0]


@register_operator("aten.var_mean.correction")
def var_mean(
    x: Any, dim: Axes = None, *, correction: float | None = None, keepdim: bool = False
) -> tuple[Any, Any]:
    """Return the variance and the mean."""
    return _variance(x, dim, correction, keepdim)


@register_operator("aten.std.correction")
def std(x: Any, dim: Axes = None, *, correction: float | None = None, keepdim: bool = False) -> Any:
    """Return the standard deviation; where it is 0, so is its gradient."""
    return _root(var(x, dim, correction=correction, keepdim=keepdim))


@register_operator("aten.std_mean.correction")
def std_mean(
    x: Any, dim: Axes = None, *, correction: float | None = None, keepdim: bool = False
) -> tuple[Any, Any]:
    """Return the standard deviation and the mean."""
    variance, center = _variance(x, dim, correction, keepdim)
    return _root(variance), center


@register_operator("aten.var.default")
def var_of_all(x: Any, unbiased: bool = True) -> Any:
    """Return the variance of all elements."""
    return var(x, correction=_corrected(unbiased))


@register_operator("aten.var.dim")
def var_of_axes(x: Any, dim: Axes, unbiased: bool = True, keepdim: bool = False) -> Any:
    """Return the variance over axes."""
    return var(x, dim, correction=_corrected(unbiased), keepdim=keepdim)


@register_operator("aten.std.default")
def std_of_all(x: Any, unbiased: bool = True) -> Any:
    """Return the standard deviation of all elements."""
    return std(x, correction=_corrected(unbiased))


@register_operator("aten.std.dim")
def std_of_axes(x: Any, dim: Axes, unbiased: bool = True, keepdim: bool = False) -> Any:
    """Return the standard deviation over axes."""
    return std(x, dim, correction=_corrected(unbiased), keepdim=keepdim)


def _root(x: Any) -> Any:
    is_zero = ops.equal(x, 0)
    return ops.where(is_zero, ops.zeros_like(x), ops.sqrt(ops.where(is_zero, ops.ones_like(x), x)))


@register_operator("aten.linalg_vector_norm")
def vector_norm(
    x: Any, ord: float = 2, dim: Axes = None, keepdim: bool = False, *, dtype: str | None = None
) -> Any:
    """Return a p-norm; where the 2-norm is 0, so is its gradient."""
    x = x if dtype is None else ops.cast(x, dtype_here(dtype))
    if ord == 2:
        return _root(sum_over(ops.square(x), dim, keepdim))
    if ord == 0:
        return sum_over(ops.cast(ops.not_equal(x, 0), x.dtype), dim, keepdim)
    if ord == 1:
        return sum_over(ops.abs(x), dim, keepdim)
    if math.isinf(ord):
        return (amax if ord > 0 else amin)(ops.abs(x), dim, keepdim)
    powers = sum_over(ops.power(ops.abs(x), constant(float(ord), x)), dim, keepdim)
    return ops.power(powers, constant(1 / ord, x))


@register_operator("aten.norm")
def norm(
    x: Any, p: float | None = 2, dim: Axes = None, keepdim: bool = False, *, dtype: str | None = None
) -> Any:
    """Return a p-norm over axes."""
    return vector_norm(x, 2 if p is None else p, dim, keepdim, dtype=dtype)


@register_operator("aten.median.default")
def median(x: Any) -> Any:
    """Return the median of all elements, of an even number the lower one."""
    return median_of_axis(ops.reshape(x, (-1,)), 0)[0]


@register_operator("aten.median.dim")
def median_of_axis(x: Any, dim: int = -1, keepdim: bool = False) -> tuple[Any, Any]:
    """Return the medians along an axis, of an even number the lower ones, and their places."""
    order = ops.argsort(x, axis=dim)
    middle = (shape(x)[dim] - 1) // 2
    return _taken(x, ops.take(order, ops.reshape(middle, (1,)), axis=dim), dim, keepdim)

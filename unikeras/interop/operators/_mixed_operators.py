"""Formulas of two and three tensors."""

from __future__ import annotations

from typing import Any

from keras import ops

from unikeras.interop.operators._arrays import as_real, constant, is_real
from unikeras.interop.operators._binary_operators import div, mul, promoted
from unikeras.interop.operators._rules import register_operator


@register_operator("aten.atan2", "aten.arctan2")
def atan2(y: Any, x: Any) -> Any:
    """Return the angle of the point (x, y)."""
    y, x = promoted(y, x)
    return ops.arctan2(as_real(y), as_real(x))


@register_operator("aten.hypot")
def hypot(a: Any, b: Any) -> Any:
    """Return the length of (a, b)."""
    a, b = promoted(a, b)
    return ops.hypot(a, b)


@register_operator("aten.logaddexp")
def logaddexp(a: Any, b: Any) -> Any:
    """Return log(exp a + exp b)."""
    a, b = promoted(a, b)
    largest = ops.stop_gradient(ops.maximum(a, b))
    largest = ops.where(ops.isfinite(largest), largest, ops.zeros_like(largest))
    return largest + ops.log(ops.exp(a - largest) + ops.exp(b - largest))


@register_operator("aten.logaddexp2")
def logaddexp2(a: Any, b: Any) -> Any:
    """Return the logarithm of 2 to the a plus 2 to the b, to base 2."""
    a, b = promoted(a, b)
    scale = ops.log(constant(2.0, a))
    return logaddexp(a * scale, b * scale) / scale


@register_operator("aten.xlogy", "aten.special_xlogy")
def xlogy(x: Any, y: Any) -> Any:
    """Return x log y, and 0 where x is 0 and y has no logarithm."""
    x, y = promoted(x, y)
    x, y = as_real(x), as_real(y)
    is_zero = ops.logical_and(ops.equal(x, 0), ops.less_equal(y, 0))
    return x * ops.log(ops.where(is_zero, ops.ones_like(y), y))


@register_operator("aten.special_xlog1py")
def xlog1py(x: Any, y: Any) -> Any:
    """Return x log(1 + y), and 0 where x is 0 and 1 + y has no logarithm."""
    x, y = promoted(x, y)
    x, y = as_real(x), as_real(y)
    is_zero = ops.logical_and(ops.equal(x, 0), ops.less_equal(y, -1))
    return x * ops.log1p(ops.where(is_zero, ops.zeros_like(y), y))


@register_operator("aten.copysign")
def copysign(a: Any, b: Any) -> Any:
    """Return a with the sign of b, in which -0 is negative."""
    a, b = promoted(a, b)
    a, b = as_real(a), as_real(b)
    return ops.where(ops.equal(ops.signbit(a), ops.signbit(b)), a, -a)


@register_operator("aten.heaviside")
def heaviside(x: Any, at_zero: Any) -> Any:
    """Return 0 for negative numbers, 1 for positive ones."""
    step = ops.cast(ops.greater(x, 0), x.dtype)
    return ops.where(ops.equal(x, 0), constant(at_zero, x), step)


@register_operator("aten.lerp")
def lerp(start: Any, end: Any, weight: Any) -> Any:
    """Return the point at a weight between a start and an end."""
    return start + constant(weight, start) * (end - start)


@register_operator("aten.addcmul")
def addcmul(x: Any, a: Any, b: Any, value: Any = 1) -> Any:
    """Return x + value a b."""
    return x + constant(value, x) * mul(a, b)


@register_operator("aten.addcdiv")
def addcdiv(x: Any, a: Any, b: Any, value: Any = 1) -> Any:
    """Return x + value a / b."""
    return x + constant(value, x) * div(a, b)


@register_operator("aten.isclose")
def isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Say where a is as near to b as the tolerances allow; infinities are near to themselves alone."""
    a, b = promoted(a, b)
    equal = ops.equal(a, b)
    if not is_real(a):
        a, b = ops.cast(a, "float64"), ops.cast(b, "float64")
    elif equal_nan:
        equal = ops.logical_or(equal, ops.logical_and(ops.isnan(a), ops.isnan(b)))
    gap = ops.abs(a - b)
    near = ops.less_equal(gap, constant(atol, a) + constant(rtol, a) * ops.abs(b))
    return ops.logical_or(equal, ops.logical_and(near, ops.isfinite(gap)))

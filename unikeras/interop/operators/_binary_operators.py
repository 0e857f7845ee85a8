"""Arithmetic, comparison, logic and bits of two tensors, or of a tensor and a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from unikeras.interop.operators._arrays import as_real, constant, is_bool, is_real, is_tensor
from unikeras.interop.operators._rules import register_operator

_PLAIN: dict[str, Callable[[Any, Any], Any]] = {
    "eq": ops.equal,
    "ne": ops.not_equal,
    "lt": ops.less,
    "le": ops.less_equal,
    "gt": ops.greater,
    "ge": ops.greater_equal,
    "logical_and": ops.logical_and,
    "logical_or": ops.logical_or,
    "logical_xor": ops.logical_xor,
    "bitwise_left_shift": ops.left_shift,
    "bitwise_right_shift": ops.right_shift,
    "__lshift__": ops.left_shift,
    "__rshift__": ops.right_shift,
}
_OF_BITS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "and": (ops.bitwise_and, ops.logical_and),
    "or": (ops.bitwise_or, ops.logical_or),
    "xor": (ops.bitwise_xor, ops.logical_xor),
}


def promoted(a: Any, b: Any) -> tuple[Any, Any]:
    """Return two tensors or numbers as tensors of one dtype, which a number does not widen."""
    dtypes = [keras.backend.standardize_dtype(x.dtype) if is_tensor(x) else type(x) for x in (a, b)]
    dtype = dtypes[0] if dtypes[0] == dtypes[1] else keras.backend.result_type(*dtypes)
    return ops.convert_to_tensor(a, dtype=dtype), ops.convert_to_tensor(b, dtype=dtype)


def _register_all() -> None:
    def plain(compute: Callable[[Any, Any], Any]) -> Callable[..., Any]:
        return lambda a, b: compute(*promoted(a, b))

    def of_bits(integers: Callable[[Any, Any], Any], bools: Callable[[Any, Any], Any]) -> Callable[..., Any]:
        return lambda a, b: (bools if is_bool(a) and is_bool(b) else integers)(*promoted(a, b))

    for name, compute in _PLAIN.items():
        register_operator(f"aten.{name}")(plain(compute))
    for name, kinds in _OF_BITS.items():
        register_operator(f"aten.bitwise_{name}", f"aten.__{name}__")(of_bits(*kinds))


_register_all()


@register_operator("aten.add")
def add(a: Any, b: Any, alpha: Any = 1) -> Any:
    """Return a + alpha b; of bools, whether one is true."""
    if is_bool(a) and is_bool(b):
        return ops.logical_or(a, b)
    a, b = promoted(a, b)
    return a + (b if alpha == 1 else b * constant(alpha, b))


@register_operator("aten.sub")
def sub(a: Any, b: Any, alpha: Any = 1) -> Any:
    """Return a - alpha b."""
    a, b = promoted(a, b)
    return a - (b if alpha == 1 else b * constant(alpha, b))


@register_operator("aten.rsub")
def rsub(a: Any, b: Any, alpha: Any = 1) -> Any:
    """Return b - alpha a."""
    return sub(b, a, alpha)


@register_operator("aten.mul")
def mul(a: Any, b: Any) -> Any:
    """Return a b; of bools, whether both are true."""
    if is_bool(a) and is_bool(b):
        return ops.logical_and(a, b)
    a, b = promoted(a, b)
    return a * b


@register_operator("aten.div", "aten.true_divide", "aten.divide")
def div(a: Any, b: Any, rounding_mode: str | None = None) -> Any:
    """Return a / b, which is real also of integers, or rounded down or towards 0."""
    if rounding_mode == "floor":
        return floor_divide(a, b)
    a, b = promoted(a, b)
    if rounding_mode is None:
        return as_real(a) / as_real(b)
    if is_real(a):
        return ops.trunc(a / b)
    return ops.sign(a) * ops.sign(b) * ops.floor_divide(ops.abs(a), ops.abs(b))


@register_operator("aten.floor_divide")
def floor_divide(a: Any, b: Any) -> Any:
    """Return a / b rounded down, as Python's // does: the exact quotient of real numbers, not that of a / b."""
    a, b = promoted(a, b)
    if not is_real(a):
        return ops.floor_divide(a, b)
    a, b = ops.stop_gradient(a), ops.stop_gradient(b)
    rest = fmod(a, b)
    is_above = ops.logical_and(ops.not_equal(rest, 0), ops.not_equal(ops.less(rest, 0), ops.less(b, 0)))
    quotient = ops.round((a - rest) / b) - ops.cast(is_above, a.dtype)
    return ops.where(ops.equal(b, 0), a / b, quotient)


@register_operator("aten.remainder")
def remainder(a: Any, b: Any) -> Any:
    """Return what is left of a after a division that rounds down; it has the sign of b."""
    a, b = promoted(a, b)
    return ops.mod(a, b)


@register_operator("aten.fmod")
def fmod(a: Any, b: Any) -> Any:
    """Return what is left of a after a division that rounds towards 0; it has the sign of a."""
    a, b = promoted(a, b)
    if not is_real(a):
        return ops.sign(a) * ops.mod(ops.abs(a), ops.abs(b))
    b = ops.abs(b)
    return ops.where(ops.less(a, 0), -ops.mod(-a, b), ops.mod(a, b))


@register_operator("aten.pow", "aten.float_power")
def power(a: Any, b: Any) -> Any:
    """Return a to the power of b; small whole powers are products, as they are in torch."""
    if isinstance(b, (int, float)) and is_tensor(a) and is_real(a):
        if b in (1, 2, 3, 4):
            square = a if b < 2 else a * a
            return square if b < 3 else square * a if b == 3 else square * square
        if b in (0.5, -0.5, -1):
            return {0.5: ops.sqrt, -0.5: ops.rsqrt, -1: ops.reciprocal}[b](a)
    return ops.power(*promoted(a, b))


@register_operator("aten.maximum", "aten.max.other")
def maximum(a: Any, b: Any) -> Any:
    """Return the larger one, or NaN; where both are equal, each gets half of the gradient."""
    a, b = promoted(a, b)
    if not is_real(a):
        return ops.logical_or(a, b) if is_bool(a) else ops.maximum(a, b)
    return ops.where(ops.greater(a, b), a, ops.where(ops.greater(b, a), b, 0.5 * a + 0.5 * b))


@register_operator("aten.minimum", "aten.min.other")
def minimum(a: Any, b: Any) -> Any:
    """Return the smaller one, or NaN; where both are equal, each gets half of the gradient."""
    a, b = promoted(a, b)
    if not is_real(a):
        return ops.logical_and(a, b) if is_bool(a) else ops.minimum(a, b)
    return ops.where(ops.less(a, b), a, ops.where(ops.less(b, a), b, 0.5 * a + 0.5 * b))


@register_operator("aten.fmax")
def fmax(a: Any, b: Any) -> Any:
    """Return the larger one, and of NaN and a number the number."""
    a, b = promoted(a, b)
    wins = ops.greater_equal(a, b)
    return ops.where(ops.logical_or(wins, ops.isnan(b)) if is_real(b) else wins, a, b)


@register_operator("aten.fmin")
def fmin(a: Any, b: Any) -> Any:
    """Return the smaller one, and of NaN and a number the number."""
    a, b = promoted(a, b)
    wins = ops.less_equal(a, b)
    return ops.where(ops.logical_or(wins, ops.isnan(b)) if is_real(b) else wins, a, b)


@register_operator("aten.clamp", "aten.clip")
def clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    """Return x between bounds, the upper one first; at a bound the gradient is that of x."""
    if min is not None:
        x, low = promoted(x, min)
        x = ops.where(ops.less(x, low), low, x)
    if max is not None:
        x, high = promoted(x, max)
        x = ops.where(ops.greater(x, high), high, x)
    return x


@register_operator("aten.clamp_min")
def clamp_min(x: Any, min: Any) -> Any:
    """Return x, and the bound where x is smaller."""
    return clamp(x, min)


@register_operator("aten.clamp_max")
def clamp_max(x: Any, max: Any) -> Any:
    """Return x, and the bound where x is larger."""
    return clamp(x, None, max)


@register_operator("aten.where.self", "aten.where.ScalarOther", "aten.where.ScalarSelf", "aten.where.Scalar")
def where(condition: Any, a: Any, b: Any) -> Any:
    """Return a where a condition holds, else b."""
    return ops.where(ops.cast(condition, "bool"), *promoted(a, b))

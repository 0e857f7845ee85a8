"""Operators of one tensor, element by element."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from unikeras.interop.operators._arrays import as_real, constant, is_bool, is_real
from unikeras.interop.operators._rules import register_operator

# torch's names. What follows the tensor (a memory format, say) means nothing here.
_OF_ANY: dict[str, Callable[[Any], Any]] = {
    "abs": ops.abs,
    "logical_not": ops.logical_not,
    "neg": ops.negative,
    "square": ops.square,
}
_OF_REALS: dict[str, Callable[[Any], Any]] = {
    "acos": ops.arccos,
    "acosh": ops.arccosh,
    "asin": ops.arcsin,
    "asinh": ops.arcsinh,
    "atan": ops.arctan,
    "atanh": ops.arctanh,
    "cos": ops.cos,
    "cosh": ops.cosh,
    "deg2rad": ops.deg2rad,
    "erf": ops.erf,
    "erfc": ops.erfc,
    "erfinv": ops.erfinv,
    "exp": ops.exp,
    "expm1": ops.expm1,
    "isfinite": ops.isfinite,
    "isinf": ops.isinf,
    "isnan": ops.isnan,
    "isneginf": ops.isneginf,
    "isposinf": ops.isposinf,
    "log": ops.log,
    "log10": ops.log10,
    "log1p": ops.log1p,
    "log2": ops.log2,
    "rad2deg": ops.rad2deg,
    "reciprocal": ops.reciprocal,
    "rsqrt": ops.rsqrt,
    "sigmoid": ops.sigmoid,
    "signbit": ops.signbit,
    "sin": ops.sin,
    "sinh": ops.sinh,
    "sqrt": ops.sqrt,
    "tan": ops.tan,
    "tanh": ops.tanh,
}
_OF_INTEGERS_TOO: dict[str, Callable[[Any], Any]] = {
    "ceil": ops.ceil,
    "floor": ops.floor,
    "trunc": ops.trunc,
}


def _register(
    names: dict[str, Callable[[Any], Any]], prepared: Callable[[Callable[[Any], Any], Any], Any]
) -> None:
    def rule_of(compute: Callable[[Any], Any]) -> Callable[..., Any]:
        return lambda x, *_, **__: prepared(compute, x)

    for name, compute in names.items():
        register_operator(f"aten.{name}")(rule_of(compute))


_register(_OF_ANY, lambda compute, x: compute(x))
_register(_OF_REALS, lambda compute, x: compute(as_real(x)))
_register(_OF_INTEGERS_TOO, lambda compute, x: compute(x) if is_real(x) else x)


@register_operator("aten.exp2", "aten.special_exp2")
def exp2(x: Any) -> Any:
    """Return 2 to the power of x."""
    x = as_real(x)
    return ops.power(constant(2.0, x), x)


@register_operator("aten.bitwise_not")
def bitwise_not(x: Any) -> Any:
    """Turn all bits of integers round; of bools there is one."""
    return ops.logical_not(x) if is_bool(x) else ops.bitwise_not(x)


@register_operator("aten.sign", "aten.sgn")
def sign(x: Any) -> Any:
    """Return -1, 0 or 1; torch's sign of NaN is 0."""
    if is_bool(x):
        return x
    return ops.where(ops.isnan(x), ops.zeros_like(x), ops.sign(x)) if is_real(x) else ops.sign(x)


@register_operator("aten.round")
def round_half_even(x: Any, decimals: int = 0) -> Any:
    """Round, halves to even; to decimals by a scale that is a power of ten, as torch does."""
    if not is_real(x):
        return x
    if decimals == 0:
        return ops.round(x)
    scale = 10.0 ** abs(decimals)
    return ops.round(x * scale) / scale if decimals > 0 else ops.round(x / scale) * scale


@register_operator("aten.frac")
def frac(x: Any) -> Any:
    """Return what is left of a number after its whole part, with its sign."""
    return x - ops.trunc(x)


@register_operator("aten.nan_to_num")
def nan_to_num(
    x: Any, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Any:
    """Replace what is not finite: by 0, and by the largest numbers of the dtype."""
    if not is_real(x):
        return x
    largest = _LARGEST[keras.backend.standardize_dtype(x.dtype)]
    x = ops.where(ops.isnan(x), constant(nan or 0.0, x), x)
    x = ops.where(ops.equal(x, math.inf), constant(largest if posinf is None else posinf, x), x)
    return ops.where(ops.equal(x, -math.inf), constant(-largest if neginf is None else neginf, x), x)


_LARGEST = {
    "float16": 65504.0,
    "bfloat16": 2.0**127 * (2 - 2**-7),
    "float32": 2.0**127 * (2 - 2**-23),
    "float64": 2.0**1023 * (2 - 2**-52),
}


@register_operator("aten.logit", "aten.special_logit")
def logit(x: Any, eps: float | None = None) -> Any:
    """Return the inverse of the logistic function, of numbers between eps and 1 - eps."""
    x = x if eps is None else ops.clip(x, constant(eps, x), constant(1 - eps, x))
    return ops.log(x / (1 - x))


@register_operator("aten.sinc", "aten.special_sinc")
def sinc(x: Any) -> Any:
    """Return sin(pi x) / (pi x), and 1 at 0."""
    turned = ops.where(ops.equal(x, 0), ops.ones_like(x), x) * math.pi
    return ops.where(ops.equal(x, 0), ops.ones_like(x), ops.sin(turned) / turned)

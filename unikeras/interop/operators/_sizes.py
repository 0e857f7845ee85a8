"""Sizes of tensors, and Python's arithmetic on them: ints, floats, and scalar tensors where an axis is dynamic."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from unikeras.interop.operators._arrays import is_real, is_tensor, shape
from unikeras.interop.operators._rules import register_operator

_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "eq": operator.eq,
    "floordiv": operator.floordiv,
    "ge": operator.ge,
    "gt": operator.gt,
    "le": operator.le,
    "lt": operator.lt,
    "mod": operator.mod,
    "mul": operator.mul,
    "ne": operator.ne,
    "sub": operator.sub,
}


def _of_one_kind(*numbers: Any) -> list[Any]:
    """Return numbers of which some are tensors as tensors of one kind, else as they are."""
    if not any(map(is_tensor, numbers)):
        return list(numbers)
    dtype = keras.config.floatx() if any(map(is_real, numbers)) else "int32"
    return [
        ops.cast(number, dtype) if is_tensor(number) else ops.convert_to_tensor(number, dtype)
        for number in numbers
    ]


def _register_arithmetic() -> None:
    def rule_of(compute: Callable[[Any, Any], Any]) -> Callable[..., Any]:
        return lambda a, b: compute(*_of_one_kind(a, b))

    for name, compute in _ARITHMETIC.items():
        register_operator(f"py.{name}")(rule_of(compute))


_register_arithmetic()


@register_operator("py.getitem")
def getitem(values: Sequence[Any], place: int) -> Any:
    """Return one of several results."""
    return values[place]


@register_operator("py.truediv")
def truediv(a: Any, b: Any) -> Any:
    """Return the quotient as a real number."""
    return sym_float(a) / sym_float(b)


@register_operator("py.pow")
def power(a: Any, b: Any) -> Any:
    """Return a to the power of b."""
    a, b = _of_one_kind(a, b)
    return ops.power(a, b) if is_tensor(a) else a**b


@register_operator("py.neg")
def neg(a: Any) -> Any:
    """Return -a."""
    return -a


@register_operator("py.and_")
def both(a: Any, b: Any) -> Any:
    """Say whether both hold."""
    return ops.logical_and(a, b) if is_tensor(a) or is_tensor(b) else a & b


@register_operator("py.or_")
def either(a: Any, b: Any) -> Any:
    """Say whether one holds."""
    return ops.logical_or(a, b) if is_tensor(a) or is_tensor(b) else a | b


@register_operator("py.sym_not")
def sym_not(a: Any) -> Any:
    """Say whether a condition does not hold."""
    return ops.logical_not(a) if is_tensor(a) else not a


@register_operator("py.sym_float")
def sym_float(a: Any) -> Any:
    """Return a real number."""
    return ops.cast(a, keras.config.floatx()) if is_tensor(a) else float(a)


@register_operator("py.sym_int", "py.trunc")
def sym_int(a: Any) -> Any:
    """Return a whole number, rounded towards 0."""
    return ops.cast(ops.trunc(a) if is_real(a) else a, "int32") if is_tensor(a) else int(a)


@register_operator("py.floor")
def floor(a: Any) -> Any:
    """Return a whole number, rounded down."""
    return ops.cast(ops.floor(a), "int32") if is_tensor(a) else math.floor(a)


@register_operator("py.ceil")
def ceil(a: Any) -> Any:
    """Return a whole number, rounded up."""
    return ops.cast(ops.ceil(a), "int32") if is_tensor(a) else math.ceil(a)


@register_operator("py._sym_sqrt", "py.sym_sqrt")
def sym_sqrt(a: Any) -> Any:
    """Return the square root."""
    return ops.sqrt(sym_float(a)) if is_tensor(a) else math.sqrt(a)


@register_operator("py.sym_max")
def sym_max(a: Any, b: Any) -> Any:
    """Return the larger number."""
    a, b = _of_one_kind(a, b)
    return ops.maximum(a, b) if is_tensor(a) else max(a, b)


@register_operator("py.sym_min")
def sym_min(a: Any, b: Any) -> Any:
    """Return the smaller number."""
    a, b = _of_one_kind(a, b)
    return ops.minimum(a, b) if is_tensor(a) else min(a, b)


@register_operator("py.sym_sum")
def sym_sum(numbers: Sequence[Any]) -> Any:
    """Return the sum."""
    return sum(_of_one_kind(*numbers))


@register_operator("py.sym_ite")
def sym_ite(condition: Any, a: Any, b: Any) -> Any:
    """Return a where a condition holds, else b."""
    return ops.where(condition, *_of_one_kind(a, b)) if is_tensor(condition) else a if condition else b


@register_operator("aten.sym_size.int")
def sym_size(x: Any, dim: int) -> Any:
    """Return the size of an axis."""
    return shape(x)[dim]


@register_operator("aten.sym_numel")
def sym_numel(x: Any) -> Any:
    """Return the number of elements."""
    total: Any = 1
    for size in shape(x):
        total = total * size
    return total


@register_operator("aten._local_scalar_dense", "aten.item")
def item(x: Any) -> Any:
    """Return the element of a tensor of one, as a scalar tensor."""
    return ops.stop_gradient(ops.reshape(x, ()))


@register_operator(
    "aten._assert_async",
    "aten._assert_scalar",
    "aten._assert_tensor_metadata",
    "aten.sym_constrain_range",
    "aten.sym_constrain_range_for_size",
)
def ignored(*_: Any, **__: Any) -> None:
    """Check nothing: torch has checked it where the program was written."""


@register_operator("aten._functional_assert_async.msg", "aten._functional_assert_scalar")
def ignored_in_order(x: Any, message: str, token: Any) -> Any:
    """Check nothing, and return the token that orders checks."""
    return token

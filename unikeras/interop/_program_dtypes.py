"""Which dtype torch computes an operator in: Keras promotes by other rules, so operands are cast first."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import keras
from keras import ops

from unikeras.interop.operators._arrays import dtype_here, is_tensor

# These compute in the dtype of their result.
ARITHMETIC = frozenset(
    f"aten.{name}"
    for name in (
        "__and__ __or__ __xor__ add addcdiv addcmul atan2 bitwise_and bitwise_or bitwise_xor cat clamp concat copysign "
        "div dot floor_divide fmax fmin fmod hypot lerp logaddexp logaddexp2 maximum minimum mul pow remainder rsub "
        "stack sub true_divide where xlogy"
    ).split()
) | {"aten.max.other", "aten.min.other"}
# These compute in the dtype that their operands have in common, and return booleans.
COMPARISONS = frozenset(f"aten.{name}" for name in ("eq", "ne", "lt", "le", "gt", "ge"))

_CATEGORIES = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}
_DEFAULTS = ("bool", "int64", "float32", "complex64")


def is_among(operator: str, names: frozenset[str]) -> bool:
    """Say whether `"aten.add.Tensor"` is one of `{"aten.add"}`."""
    return operator in names or operator.rpartition(".")[0] in names


def category(dtype: str) -> int:
    """Return 0 for booleans, 1 for integers, 2 for floats, 3 for complex numbers."""
    return _CATEGORIES[dtype.removeprefix("b")[0]] if dtype != "bool" else 0


def common_dtype(operands: Iterable[tuple[Any, str | None]]) -> str:
    """Return torch's dtype for operands of several.

    A number, and a tensor without axes beside one with axes, count only if they are of a higher category.

    Args:
        operands: each with its dtype of torch, or None for numbers and sizes.

    Source: torch.result_type.
    """
    levels: tuple[list[str], ...] = ([], [], [])
    for value, dtype in operands:
        if dtype is None:
            levels[2].append(_DEFAULTS[_category_of_number(value)])
        else:
            levels[0 if len(value.shape) else 1].append(dtype)
    found = [functools.reduce(_promoted, level) for level in levels if level]
    return functools.reduce(lambda one, other: other if category(other) > category(one) else one, found)


def _category_of_number(value: Any) -> int:
    if is_tensor(value):  # a size
        return 1
    return 0 if isinstance(value, bool) else 1 if isinstance(value, int) else 2


def _promoted(one: str, other: str) -> str:
    if one == other:
        return one
    if category(one) != category(other):
        return one if category(one) > category(other) else other
    return str(keras.backend.result_type(one, other)) if {one, other} != {"float16", "bfloat16"} else "float32"


def cast_tensors(value: Any, dtype: str) -> Any:
    """Cast the tensors of an argument, also those in lists, to torch's dtype; leave all else."""
    if isinstance(value, list):
        return [cast_tensors(inner, dtype) for inner in value]
    if not is_tensor(value):
        return value
    wanted = dtype_here(dtype)
    return value if keras.backend.standardize_dtype(value.dtype) == wanted else ops.cast(value, wanted)


def as_result(value: Any, dtype: Any) -> Any:
    """Return what a rule returned in the dtype that torch's result has; dtype is a list where there are several."""
    if isinstance(dtype, list):
        return [as_result(one, its) for one, its in zip(value, dtype, strict=False)]
    if dtype is None or value is None:
        return value
    if not is_tensor(value):
        return ops.convert_to_tensor(value, dtype_here(dtype))
    return cast_tensors(value, dtype)

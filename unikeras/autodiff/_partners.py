"""One check for tensors that a caller pairs with others: tangents, weights, vectors, gradients."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from unikeras import backends
from unikeras._keras.variables import dtype_of, is_differentiable, is_variable
from unikeras.autodiff._nested import Pair, pair
from unikeras.errors import ArgumentError


def match_leaves(
    name: str, given: Any, wanted_name: str, wanted: Any, none: bool = False, hint: str = ""
) -> list[Any]:
    """Return one native tensor for each leaf of a structure, of its shape and dtype, paired by key.

    Python numbers and numpy arrays take the dtype that is wanted; tensors must have it.

    Args:
        name: what the caller calls the given structure, for the message.
        given: a nested structure of tensors, variables, arrays and numbers.
        wanted_name: what the caller calls the structure that it must match.
        wanted: that structure, of native tensors and variables.
        none: None may stand in the place of a tensor, and is returned.
        hint: what to do where something does not match.

    Raises:
        ArgumentError: the two do not match; the message lists every difference.
    """
    pairs, problems = pair(name, given, wanted_name, wanted)
    problems += [problem for one in pairs if (problem := problem_of(one, none))]
    if problems:
        raise ArgumentError(f"{name} must match {wanted_name}: {'; '.join(problems)}{hint and f'. {hint}'}")
    return [None if one.leaf is None else as_partner(one.leaf, one.wanted) for one in pairs]


def problem_of(one: Pair, none: bool) -> str:
    """Say what keeps a leaf from standing for another one, or nothing."""
    if one.leaf is None:
        return "" if none else f"{one.name} is None where {one.wanted_name} is a tensor"
    if not is_numeric(one.leaf):
        return f"{one.name} is a {type(one.leaf).__name__}, which is no tensor"
    shape, wanted_shape = shape_of(one.leaf), shape_of(one.wanted)
    if not same_shape(shape, wanted_shape):
        return f"{one.name} has shape {shape}, {one.wanted_name} has shape {wanted_shape}"
    dtype, wanted_dtype = _given_dtype(one.leaf), dtype_of(one.wanted)
    if not _fits(one.leaf, dtype, wanted_dtype):
        return f"{one.name} has dtype {dtype}, {one.wanted_name} has dtype {wanted_dtype}"
    return ""


def is_numeric(leaf: Any) -> bool:
    """Say whether a leaf is a tensor, a variable, a numpy array or a number."""
    return is_tensor(leaf) or isinstance(leaf, numbers.Number | np.ndarray | np.generic)


def is_tensor(leaf: Any) -> bool:
    """Say whether a leaf is a native tensor or a Keras variable."""
    return is_variable(leaf) or backends.current().is_tensor(leaf)


def shape_of(leaf: Any) -> tuple[int | None, ...]:
    """Return a leaf's shape; None for an axis whose size is not known yet."""
    return tuple(leaf.shape) if hasattr(leaf, "shape") else ()


def same_shape(one: Sequence[int | None], other: Sequence[int | None]) -> bool:
    """Say whether two shapes can be equal."""
    return len(one) == len(other) and all(
        a is None or b is None or a == b for a, b in zip(one, other, strict=True)
    )


def _given_dtype(leaf: Any) -> str:
    return dtype_of(leaf) if hasattr(leaf, "dtype") else type(leaf).__name__


def _fits(leaf: Any, dtype: str, wanted: str) -> bool:
    if is_tensor(leaf):
        return dtype == wanted
    # numpy does not know bfloat16 and float8 as floating.
    kind = np.dtype("float32" if wanted.startswith(("bfloat", "float8")) else wanted)
    return bool(np.can_cast(np.asarray(leaf).dtype, kind, "same_kind"))


def as_partner(leaf: Any, wanted: Any) -> Any:
    """Return a leaf as a native tensor of the dtype of another."""
    from keras import ops

    return ops.convert_to_tensor(leaf if is_tensor(leaf) else np.asarray(leaf), dtype=dtype_of(wanted))


def not_differentiable(name: str, leaf: Any) -> str:
    """Say why gradients with respect to a leaf do not exist, or nothing where they do."""
    if not is_numeric(leaf):
        return f"{name} holds a {type(leaf).__name__}"
    if hasattr(leaf, "dtype"):
        return "" if is_differentiable(leaf) else f"{name} holds values of dtype {dtype_of(leaf)}"
    return (
        "" if isinstance(leaf, float | complex) else f"{name} holds {leaf!r}, of type {type(leaf).__name__}"
    )

"""Shapes, slices and dtypes for rules. A size is an int where the shape is known, else a scalar tensor."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


def is_tensor(value: Any) -> bool:
    """Say whether an argument is a tensor, and not a number, a list or None."""
    return hasattr(value, "dtype")


def shape(x: Any) -> list[Any]:
    """Return the sizes of all axes, each an int or, where it is dynamic, a scalar tensor."""
    return list(ops.shape(x))


def reshape(x: Any, sizes: Sequence[Any]) -> Any:
    """Reshape to sizes of which some may be dynamic.

    One dynamic size is passed as -1: TensorFlow then knows the others.
    """
    dynamic = [axis for axis, size in enumerate(sizes) if not isinstance(size, int)]
    has_rest = any(isinstance(size, int) and size == -1 for size in sizes)
    if len(dynamic) == 1 and not has_rest:
        sizes = [-1 if axis == dynamic[0] else size for axis, size in enumerate(sizes)]
    return ops.reshape(x, list(sizes))


def cut(x: Any, axis: int, part: Any) -> Any:
    """Return `x[..., part, ...]`: a slice or a position of one axis."""
    return x[(slice(None),) * (axis % len(x.shape)) + (part,)]


def part(start: Any, end: Any, step: int = 1) -> slice:
    """Return a slice; torch says "to the end" by 2**63 - 1."""
    return slice(start, None if isinstance(end, int) and end > 2**62 else end, step)


def each(value: Any, count: int) -> tuple[Any, ...]:
    """Return one value for each axis, as torch reads a number, a list of one, and a list."""
    values = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    return values * (count // len(values))


def is_real(x: Any) -> bool:
    """Say whether a tensor or a Python number is of real numbers, and not of integers or bools."""
    return "float" in str(x.dtype) if is_tensor(x) else isinstance(x, float)


def is_bool(x: Any) -> bool:
    """Say whether a tensor or a Python value is of bools."""
    return keras.backend.standardize_dtype(x.dtype) == "bool" if is_tensor(x) else isinstance(x, bool)


def as_real(x: Any) -> Any:
    """Return integers and bools as real numbers, which torch makes of them where a result has no other kind."""
    return x if is_real(x) else ops.cast(x, keras.config.floatx())


def constant(value: Any, like: Any) -> Any:
    """Return a number, or a tensor, in the dtype of a tensor."""
    return ops.cast(value, like.dtype) if is_tensor(value) else ops.convert_to_tensor(value, dtype=like.dtype)


@functools.cache
def dtype_here(name: str) -> str:
    """Return the dtype of this backend for torch's: JAX has 64 bits only where `jax_enable_x64` is set."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return str(keras.backend.standardize_dtype(ops.zeros((), dtype=name).dtype))

"""What a caller passes, as the arrays that an artifact takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from unikeras._keras.samples import Array
from unikeras._specs.signature import TensorSpec, numpy_dtype
from unikeras.errors import SignatureError


def fit(spec: TensorSpec, value: Any) -> Array:
    """Return a value as an array of an input's dtype.

    Args:
        spec: the input's.
        value: anything that numpy takes; cast within its kind, and from integers to floats.

    Raises:
        SignatureError: the input takes neither its dtype nor its shape.
    """
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:  # such as lists of different lengths
        raise SignatureError(f"input {spec} received what is no array: {error}") from error
    if spec.dtype is not None:
        dtype = numpy_dtype(spec.dtype)
        if array.dtype != dtype and not np.can_cast(array.dtype, dtype, "same_kind"):
            raise SignatureError(f"input {spec} received dtype {array.dtype}; cast it first")
        array = array.astype(dtype, copy=False)
    if not _fits(array.shape, spec.shape):
        raise SignatureError(f"input {spec} received shape {array.shape}")
    return array


def _fits(shape: tuple[int, ...], allowed: tuple[int | None, ...] | None) -> bool:
    if allowed is None:
        return True
    return len(shape) == len(allowed) and all(
        want in (None, size) for size, want in zip(shape, allowed, strict=True)
    )

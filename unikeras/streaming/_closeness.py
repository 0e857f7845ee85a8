"""Whether two computations of the same numbers agree."""

from __future__ import annotations

from typing import Any

import numpy as np


def is_close(one: Any, other: Any, mask: Any = None) -> bool:
    """Say whether two arrays agree up to rounding, row by row: a row of small numbers is measured by its own.

    Args:
        one: an array.
        other: an array.
        mask: (batch, time): the unmasked steps; None for all of them.
    """
    if one.shape != other.shape:
        return False
    if mask is not None and mask.shape == one.shape[:2]:
        one, other = (
            np.where(mask.reshape(mask.shape + (1,) * (a.ndim - 2)), a, np.zeros_like(a))
            for a in (one, other)
        )
    if one.dtype.kind in "biuSUO":
        return bool((one == other).all())
    tolerance = 1e-3 if one.dtype.itemsize > 2 else 5e-2
    one, other = (
        array.astype("complex128" if array.dtype.kind == "c" else "float64") for array in (one, other)
    )
    finite = np.isfinite(one) & np.isfinite(other)
    if not np.array_equal(one[~finite], other[~finite], equal_nan=True):
        return False
    one, other = np.where(finite, one, 0), np.where(finite, other, 0)
    axes = tuple(range(1, one.ndim))
    scale = np.maximum(np.max(np.abs(one), axis=axes, initial=0, keepdims=True), 1e-6)
    return bool((np.abs(one - other) <= tolerance * scale).all())

"""Distances of vectors."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from unikeras.interop.operators._rules import register_operator


@register_operator("aten.cdist", "aten._cdist_forward")
def distances(x: Any, y: Any, p: float = 2.0, compute_mode: int | None = None) -> Any:
    gaps = ops.expand_dims(x, -2) - ops.expand_dims(y, -3)
    if p == math.inf:
        return ops.max(ops.abs(gaps), -1)
    if p == 0:
        return ops.sum(ops.cast(gaps != 0, x.dtype), -1)
    sizes = gaps * ops.stop_gradient(ops.sign(gaps))
    return ops.sum(sizes, -1) if p == 1 else _power(ops.sum(_power(sizes, p), -1), 1 / p)


def _power(x: Any, exponent: float) -> Any:
    """Return a power of what is not negative. Its derivative at 0 is 0, as torch defines that of a distance."""
    is_zero = x == 0
    base = ops.where(is_zero, ops.ones_like(x), x)
    dtype = keras.backend.standardize_dtype(x.dtype)
    return ops.where(is_zero, x, ops.power(base, ops.convert_to_tensor(exponent, dtype=dtype)))


@register_operator("aten._euclidean_dist")
def euclidean_distances(x: Any, y: Any) -> Any:
    return distances(x, y)


@register_operator("aten._pdist_forward")
def distances_of_pairs(x: Any, p: float = 2.0) -> Any:
    """Return the distances of each two rows; their number must be known."""
    first, second = np.triu_indices(x.shape[0], 1)
    return distances(
        ops.expand_dims(ops.take(x, first, axis=0), 1), ops.expand_dims(ops.take(x, second, axis=0), 1), p
    )[:, 0, 0]

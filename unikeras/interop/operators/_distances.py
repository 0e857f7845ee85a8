"""Distances of vectors."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from unikeras.interop.operators._rules import register_operator


@register_operator("aten.cdist", "aten._cdist_forward")
def distances(x: Any, y: Any, p: float = 2.0, compute_mode: int | None = None) -> Any:
    gaps = ops.expand_dims(x, -2) - ops.expand_dims(y, -3)
    if p == math.inf:
        return ops.max(ops.abs(gaps), -1)
    if p == 0:
        return ops.sum(ops.cast(gaps != 0, x.dtype), -1)
    if p == 1:
        return ops.sum(ops.abs(gaps), -1)
    # Of two equal vectors the gradient is 0, as torch defines it.
    sizes = ops.abs(gaps)
    powers = ops.where(gaps == 0, ops.zeros_like(gaps), ops.power(ops.where(gaps == 0, 1.0, sizes), p))
    total = ops.sum(powers, -1)
    is_zero = total == 0
    return ops.where(is_zero, ops.zeros_like(total), ops.power(ops.where(is_zero, 1.0, total), 1 / p))


@register_operator("aten._euclidean_dist")
def euclidean_distances(x: Any, y: Any) -> Any:
    return distances(x, y)


@register_operator("aten.cosine_similarity")
def cosine_similarity(x: Any, y: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    squares = [ops.sum(part * part, dim) for part in (x, y)]
    lengths = [ops.sqrt(ops.maximum(square, eps * eps)) for square in squares]
    return ops.sum(x * y, dim) / (lengths[0] * lengths[1])

"""Rows of a table, and sums of rows."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from unikeras.interop.operators._arrays import shape
from unikeras.interop.operators._rules import register_operator

SUM, MEAN, MAX = 0, 1, 2


@register_operator("aten.embedding")
def embed(
    weight: Any,
    indices: Any,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    rows = _rows(weight, indices, scale_grad_by_freq)
    if padding_idx < 0:
        return rows
    # The row of what pads is not trained.
    return ops.where(ops.expand_dims(indices == padding_idx, -1), ops.stop_gradient(rows), rows)


def _rows(weight: Any, indices: Any, scale_grad_by_freq: bool) -> Any:
    """Return rows of a table; a row's gradient may be divided by how often it was taken."""
    rows = ops.take(weight, indices, axis=0)
    if not scale_grad_by_freq:
        return rows
    flat = ops.reshape(ops.cast(indices, "int32"), (-1,))
    counts = ops.segment_sum(ops.ones_like(flat, dtype=rows.dtype), flat, shape(weight)[0])
    shares = 1 / ops.expand_dims(ops.take(counts, indices, axis=0), -1)
    fixed = ops.stop_gradient(rows)
    return fixed + (rows - fixed) * shares


@register_operator("aten._embedding_bag", "aten._embedding_bag_forward_only", "aten.embedding_bag")
def embed_bags(
    weight: Any,
    indices: Any,
    offsets: Any,
    scale_grad_by_freq: bool = False,
    mode: int = SUM,
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = -1,
) -> tuple[Any, Any, Any, Any]:
    nothing = ops.zeros_like(offsets)
    if include_last_offset:
        offsets = offsets[:-1]
    # The place of each index: the number of bags that begin before it.
    places = ops.arange(shape(indices)[0], dtype=keras.backend.standardize_dtype(offsets.dtype))
    bags = ops.sum(ops.cast(ops.expand_dims(offsets, 0) <= ops.expand_dims(places, 1), "int32"), 1) - 1
    counts = ops.ones_like(indices, dtype="bool") if padding_idx is None else indices != padding_idx
    numbers = ops.expand_dims(ops.arange(shape(offsets)[0], dtype="int32"), 1)
    # (bags, indices): what is in each.
    members = ops.logical_and(numbers == ops.expand_dims(bags, 0), ops.expand_dims(counts, 0))
    rows = _rows(weight, indices, scale_grad_by_freq)
    sizes = ops.sum(ops.cast(members, "int32"), 1)
    if mode == MAX:
        output, highest = _largest(rows, members, indices)
        return output, bags, sizes, highest
    shares = ops.cast(members, rows.dtype)
    if per_sample_weights is not None:
        shares = shares * ops.expand_dims(per_sample_weights, 0)
    if mode == MEAN:
        shares = shares / ops.cast(ops.expand_dims(ops.maximum(sizes, 1), 1), rows.dtype)
        return ops.matmul(shares, rows), bags, sizes, sizes
    return ops.matmul(shares, rows), bags, nothing, nothing


def _largest(rows: Any, members: Any, indices: Any) -> tuple[Any, Any]:
    """Return the largest of each bag's rows, feature by feature, and the indices of these rows."""
    is_in = ops.expand_dims(members, -1)
    lowest = ops.cast(-float("inf"), rows.dtype)
    best = ops.argmax(ops.where(is_in, ops.expand_dims(rows, 0), lowest), 1)
    values = ops.take_along_axis(rows, best, axis=0)
    is_empty = ops.logical_not(ops.any(is_in, 1))
    return ops.where(is_empty, ops.zeros_like(values), values), ops.where(
        is_empty, ops.cast(0, indices.dtype), ops.take(indices, best, axis=0)
    )

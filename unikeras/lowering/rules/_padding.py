"""Padding "same" as Keras has it: what does not divide evenly is put at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional


def per_axis(value: Any, rank: int) -> tuple[int, ...]:
    """Return one number for each axis."""
    return (value,) * rank if isinstance(value, int) else tuple(value)


def even(kernel: Sequence[int], strides: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...] | None:
    """Return the padding on both sides that is "same" at every size, or None where there is none."""
    totals = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
    if any(total % 2 for total in totals) or any(
        total and stride > 1 for total, stride in zip(totals, strides, strict=True)
    ):
        return None
    return tuple(total // 2 for total in totals)


def same(
    x: Any,
    sizes: Sequence[int | None],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
    value: float = 0.0,
) -> Any:
    """Pad a channels-first tensor so that a layer gives size / stride, rounded up.

    Args:
        x: (batch, channels, *sizes).
        sizes: the sizes that are known; the others are read from `x` when it runs.
    """
    pads: list[Any] = []
    for axis, (size, k, stride, d) in enumerate(zip(sizes, kernel, strides, dilation, strict=True)):
        span = (k - 1) * d + 1
        total = _total(x.shape[axis + 2] if size is None else size, span, stride)
        pads = [total // 2, total - total // 2, *pads]
    if all(isinstance(pad, int) and pad == 0 for pad in pads):
        return x
    return functional.pad(x, pads, value=value) if value else functional.pad(x, pads)


def _total(size: Any, span: int, stride: int) -> Any:
    if stride == 1:
        return span - 1
    if span == 1:
        return 0
    total = span - 1 - (size - 1) % stride
    if span >= stride:
        return total
    return max(total, 0) if isinstance(size, int) else torch.sym_max(total, 0)

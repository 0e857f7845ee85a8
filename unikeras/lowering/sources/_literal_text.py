"""Plain values as Python text."""

from __future__ import annotations

import math
from typing import Any

import torch


def literal(value: Any) -> str:
    """Return a number, a name of torch, or a structure of them as it is written.

    Example:
        >>> literal((1, 0.5, float("inf"), torch.int32, slice(None, -1)))
        '(1, 0.5, float("inf"), torch.int32, :-1)'
    """
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, slice):
        parts = ["" if part is None else literal(part) for part in (value.start, value.stop)]
        return ":".join(parts if value.step is None else [*parts, literal(value.step)])
    if value is Ellipsis:
        return "..."
    if isinstance(value, torch.Size | tuple):
        inner = ", ".join(map(literal, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    return str(value)


def tensor_text(value: torch.Tensor) -> str:
    """Return a small tensor as a call that makes it: each number in the fewest digits that read back as it.

    Example:
        >>> tensor_text(torch.tensor([0.1, 2.0])), tensor_text(torch.arange(3))
        ('torch.tensor([0.1, 2.0])', 'torch.arange(3)')
    """
    if value.dtype == torch.int64 and value.dim() == 1 and torch.equal(value, torch.arange(len(value))):
        return f"torch.arange({len(value)})"
    natural = {torch.float32: "", torch.int64: "", torch.bool: ""}
    dtype = natural.get(value.dtype, f", dtype={value.dtype}")
    return f"torch.tensor({_numbers(value)}{dtype})"


def _numbers(value: torch.Tensor) -> str:
    if value.dim():
        return f"[{', '.join(map(_numbers, value))}]"
    if value.is_floating_point() and math.isfinite(float(value)):
        array = value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
        return str(array.numpy()[()])
    return literal(value.item())

"""How far an artifact's outputs are from the model's, and where they are furthest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unikeras._keras.samples import Array
from unikeras.errors import ExportMismatch


def largest_error(
    names: Sequence[str],
    expected: Sequence[Array],
    received: Sequence[Array],
    rtol: float,
    atol: float,
    where: str = "",
) -> float:
    """Return the largest absolute difference between two lists of outputs that are equal enough.

    Floating-point outputs are equal where |expected - received| <= atol + rtol * |expected|, NaN equals
    NaN and an infinity equals itself; integers and booleans are equal only where they are the same.

    Args:
        names: the outputs' names.
        expected: what the model computed.
        received: what the artifact computed.
        rtol: relative tolerance.
        atol: absolute tolerance.
        where: an addition to the message, such as `"at batch 3"`.

    Raises:
        ExportMismatch: they differ in number, shape, dtype or value.

    Example:
        >>> largest_error(["y"], [np.array([1.0, 2.0])], [np.array([1.0, 2.5])], rtol=0, atol=1)
        0.5
    """
    if len(expected) != len(received):
        raise ExportMismatch(f"the model has {len(expected)} outputs and the artifact {len(received)}")
    errors = [
        _error(f"output {name!r} {where}".rstrip(), left, right, rtol, atol)
        for name, left, right in zip(names, expected, received, strict=True)
    ]
    return max(errors, default=0.0)


def _error(name: str, expected: Array, received: Array, rtol: float, atol: float) -> float:
    for kind in ("shape", "dtype"):
        wanted, came = getattr(expected, kind), getattr(received, kind)
        if wanted != came:
            raise ExportMismatch(f"{name} has {kind} {wanted} in the model and {came} in the artifact")
    if expected.dtype.kind in "biu":
        rtol = atol = 0
    left, right = _wide(expected), _wide(received)
    with np.errstate(invalid="ignore", over="ignore"):
        same = (left == right) | (np.isnan(left) & np.isnan(right))
        gap = np.where(same, 0.0, np.abs(left - right))
        gap = np.where(np.isnan(gap), np.inf, gap)
        close = same | (gap <= atol + rtol * np.abs(left)) & np.isfinite(left)
    if not close.all():
        raise ExportMismatch(_worst(name, expected, received, gap, close, rtol, atol))
    return float(gap.max(initial=0.0))


def _wide(array: Array) -> Array:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _worst(
    name: str, expected: Array, received: Array, gap: Array, close: Any, rtol: float, atol: float
) -> str:
    allowed = np.nan_to_num(rtol * np.abs(_wide(expected)), nan=0.0, posinf=0.0)
    excess = np.where(close, -np.inf, gap - allowed)
    index = tuple(int(number) for number in np.unravel_index(np.argmax(excess), excess.shape))
    return (
        f"{name} is {expected[index]} in the model and {received[index]} in the artifact at index {index}; "
        f"{np.size(close) - np.count_nonzero(close)} of {np.size(close)} values differ by more than "
        f"{atol:g} + {rtol:g} * |value|"
    )

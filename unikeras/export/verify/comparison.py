"""How far an artifact's outputs are from the model's, and where they are furthest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
        raise ExportMismatch(_Mismatch(expected, received, gap, close).describe(name, rtol, atol))
    return float(gap.max(initial=0.0))


@dataclass(frozen=True)
class _Mismatch:
    """Two arrays that are not equal enough.

    Attributes:
        expected: what the model computed.
        received: what the artifact computed.
        gap: the absolute differences.
        close: where they are small enough.
    """

    expected: Array
    received: Array
    gap: Array
    close: Array

    def describe(self, name: str, rtol: float, atol: float) -> str:
        """Say where they are furthest apart, beyond what the relative tolerance allows."""
        allowed = np.nan_to_num(rtol * np.abs(_wide(self.expected)), nan=0.0, posinf=0.0)
        excess = np.where(self.close, -np.inf, self.gap - allowed)
        index = tuple(int(number) for number in np.unravel_index(np.argmax(excess), excess.shape))
        size = np.size(self.close)
        return (
            f"{name} is {self.expected[index]} in the model and {self.received[index]} in the artifact at index "
            f"{index}; {size - np.count_nonzero(self.close)} of {size} values differ by more than "
            f"{atol:g} + {rtol:g} * |value|"
        )


def _wide(array: Array) -> Array:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)

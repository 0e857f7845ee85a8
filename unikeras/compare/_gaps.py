"""How far apart two tensors are: absolute, relative to the largest value, and in units of its last place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Tolerance:
    """What counts as equal: `|a - b| <= atol + rtol * max|a|`, over the first side's tensor.

    Attributes:
        rtol: relative to the largest value of the first side's tensor.
        atol: absolute.
    """

    rtol: float
    atol: float


@dataclass(frozen=True)
class Gap:
    """The distance of two tensors, or the largest of several.

    Attributes:
        max_abs: the largest absolute difference; infinite where shapes differ, or NaN meets a number.
        max_rel: that, relative to the largest value of the first side's tensor, but at least to `atol / rtol`.
        ulps: that, in units in the last place of this largest value.
        excess: by how many times it is beyond the tolerance; at most 1 where the two are equal.
        index: where the difference is largest, relative to what is allowed there.
        values: both values there; None where shapes differ.
        nans: how many values are NaN on both sides, which counts as equal.
    """

    max_abs: float = 0.0
    max_rel: float = 0.0
    ulps: float = 0.0
    excess: float = 0.0
    index: tuple[int, ...] = ()
    values: tuple[float, float] | None = None
    nans: int = 0

    @property
    def equal(self) -> bool:
        """Whether the difference is within the tolerance."""
        return self.excess <= 1


def gap_between(
    a: Array, b: Array, tolerance: Tolerance, extra: Array | float = 0.0, scale: float = 0.0
) -> Gap:
    """Return how far two tensors are apart.

    Args:
        a: of the first side.
        b: of the second, of the same shape; else the gap is infinite.
        tolerance: what counts as equal.
        extra: what each element may differ by beyond that, because of an earlier difference; it is taken off first.
        scale: the largest value of what the tensor was computed with, where that is more than its own: a sum that
            cancels is as exact as its terms.

    Example:
        >>> gap = gap_between(np.float32([1, 2]), np.float32([1, 2.5]), Tolerance(1e-5, 1e-6))
        >>> gap.max_abs, gap.index, gap.values, gap.equal
        (0.5, (1,), (2.0, 2.5), False)
    """
    if a.shape != b.shape:
        return Gap(np.inf, np.inf, np.inf, np.inf)
    if not a.size:
        return Gap()
    if a.dtype.kind in "OSU" or b.dtype.kind in "OSU":
        a, b = np.zeros(a.shape), np.asarray(a != b, "float64")
    wide, other = _wide(a), _wide(b)
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.array(np.abs(wide - other))
    both_nan = np.isnan(wide) & np.isnan(other)
    distance[(wide == other) | both_nan] = 0.0
    distance[np.isnan(distance)] = np.inf
    distance = np.maximum(distance - extra, 0.0)
    scale = float(np.max(np.abs(wide), where=np.isfinite(wide), initial=scale))
    allowed = tolerance.atol + tolerance.rtol * scale
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = np.where(distance == 0, 0.0, distance / allowed)
    # A tensor of rounding noise, below the absolute tolerance, has no relative difference to speak of.
    scale = max(scale, tolerance.atol / tolerance.rtol if tolerance.rtol else 0.0)
    index = np.unravel_index(int(np.argmax(excess)), a.shape)
    largest = float(distance.max())
    return Gap(
        largest,
        largest / scale if scale else (np.inf if largest else 0.0),
        largest / _last_place(a, scale),
        float(excess[index]),
        tuple(map(int, index)),
        (_number(a[index]), _number(b[index])),
        int(both_nan.sum()),
    )


def largest(gaps: Iterable[Gap]) -> Gap:
    """Return the gap that is farthest beyond its tolerance, with the largest distances of all."""
    found = list(gaps)
    if not found:
        return Gap()
    worst = max(found, key=lambda gap: gap.excess)
    return Gap(
        max(gap.max_abs for gap in found),
        max(gap.max_rel for gap in found),
        max(gap.ulps for gap in found),
        worst.excess,
        worst.index,
        worst.values,
        sum(gap.nans for gap in found),
    )


def _wide(array: Array) -> Array:
    return array.astype("complex128" if array.dtype.kind == "c" else "float64")


def _number(value: Any) -> float:
    return float(np.real(value))


def _last_place(array: Array, scale: float) -> float:
    """Return the unit in the last place of a number of an array's dtype."""
    import ml_dtypes

    if array.dtype.kind not in "fV":
        return 1.0
    info = ml_dtypes.finfo(array.dtype)
    return float(info.eps) * 2.0 ** np.floor(np.log2(max(scale, float(info.tiny))))

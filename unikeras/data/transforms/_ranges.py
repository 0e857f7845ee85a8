"""Checks of arguments that transforms share."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from unikeras._base.suggestions import did_you_mean
from unikeras.errors import ArgumentError, ArgumentValueError

Range = tuple[float, float]

LONGEST_SIDE = 32_767  # OpenCV counts the pixels of a warp in 16 bits


def check_number(name: str, value: Any) -> float:
    """Return a finite number as a float.

    Raises:
        ArgumentError: it is no number.
        ArgumentValueError: it is NaN or infinite.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ArgumentError(f"{name} has to be a number; received {value!r} of type {type(value).__name__}")
    if not math.isfinite(value):
        raise ArgumentValueError(f"{name} has to be finite; received {value}")
    return float(value)


def check_range(name: str, value: Any, low: float = -math.inf, high: float = math.inf) -> Range:
    """Return what a random number is drawn between.

    Args:
        name: of the argument.
        value: `(lower, upper)`, or a number f for `(-f, f)`.
        low: the least lower end.
        high: the greatest upper end.

    Raises:
        ArgumentError: it is neither a number nor two.
        ArgumentValueError: the ends are reversed, or outside of what is allowed.

    Example:
        >>> check_range("factor", 0.2), check_range("factor", (0, 0.5))
        ((-0.2, 0.2), (0.0, 0.5))
    """
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise ArgumentError(f"{name} has to be a number or (lower, upper); received {value!r}")
        lower, upper = (check_number(name, end) for end in value)
    else:
        upper = check_number(name, value)
        if upper < 0:
            raise ArgumentValueError(
                f"{name} as one number must not be negative; received {value}; write (lower, upper)"
            )
        lower = max(-upper, low)
    if lower > upper:
        raise ArgumentValueError(f"{name} has to be (lower, upper) with lower <= upper; received {value!r}")
    if lower < low or upper > high:
        raise ArgumentValueError(f"{name} has to be between {low} and {high}; received {value!r}")
    return lower, upper


def draw(between: Any, generator: np.random.Generator) -> float:
    """Return a number between the two that `check_range` returned."""
    return float(generator.uniform(*between))


def check_pixels(name: str, value: Any) -> int:
    """Return a number of pixels.

    Raises:
        ArgumentError: it is no integer.
        ArgumentValueError: it is not positive.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ArgumentError(
            f"{name} has to be a number of pixels; received {value!r} of type {type(value).__name__}"
        )
    pixels = int(value)
    if not 1 <= pixels <= LONGEST_SIDE:
        raise ArgumentValueError(f"{name} has to be from 1 to {LONGEST_SIDE} pixels; received {value}")
    return pixels


def check_size(value: Any) -> tuple[int, int]:
    """Return height and width in pixels; one number is both.

    Example:
        >>> check_size(32), check_size((24, 32))
        ((32, 32), (24, 32))
    """
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise ArgumentError(f"size has to be a number of pixels or (height, width); received {value!r}")
        return check_pixels("height", value[0]), check_pixels("width", value[1])
    return check_pixels("size", value), check_pixels("size", value)


def check_choice(name: str, value: Any, known: tuple[str, ...]) -> str:
    """Return a name that is one of the known ones.

    Raises:
        ArgumentValueError: it is not.
    """
    if value not in known:
        hint = did_you_mean(value, known) if isinstance(value, str) else ""
        raise ArgumentValueError(
            f"{name} has to be one of {', '.join(known)}; received {value!r}. {hint}".rstrip()
        )
    return value


def check_count(name: str, value: Any, least: int = 0) -> int:
    """Return an integer that is not too small.

    Raises:
        ArgumentError: it is no integer.
        ArgumentValueError: it is less than the least.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ArgumentError(f"{name} has to be an integer; received {value!r} of type {type(value).__name__}")
    if value < least:
        raise ArgumentValueError(f"{name} has to be at least {least}; received {value}")
    return int(value)


def check_probability(name: str, value: Any) -> float:
    """Return a number between 0 and 1.

    Raises:
        ArgumentValueError: it is not between them.
    """
    if not 0 <= check_number(name, value) <= 1:
        raise ArgumentValueError(f"{name} has to be between 0 and 1; received {value}")
    return float(value)

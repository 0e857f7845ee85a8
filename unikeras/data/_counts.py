"""Counts that users pass."""

from __future__ import annotations

import numbers
from typing import Any

from unikeras.errors import ArgumentError, ArgumentValueError


def check_count(value: Any, name: str, least: int = 1) -> int:
    """Return a count as an int.

    Raises:
        ArgumentError: it is no integer.
        ArgumentValueError: it is too small.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ArgumentError(f"{name} has to be an integer; received {value!r} of type {type(value).__name__}")
    if value < least:
        raise ArgumentValueError(f"{name} has to be {least} or more; received {value}")
    return int(value)


def check_index(value: Any, length: int, what: str) -> int:
    """Return an index from 0; a negative one counts from the end.

    Args:
        value: the index.
        length: how many there are.
        what: of which.

    Raises:
        ArgumentError: it is no integer.
        IndexError: there is none of this number.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ArgumentError(
            f"the number of {what} has to be an integer; received {value!r} of type {type(value).__name__}"
        )
    number = int(value)
    if not -length <= number < length:
        raise IndexError(f"there is no {what} {number}; there are {length}")
    return number % length

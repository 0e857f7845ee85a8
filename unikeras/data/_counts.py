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

"""Ages, as people write them."""

from __future__ import annotations

import datetime
import math
import re

from unikeras.errors import ArgumentError, ArgumentValueError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def seconds(age: str | float | datetime.timedelta) -> float:
    """Return an age in seconds.

    Args:
        age: seconds; a `timedelta`; or a number with s, m, h, d or w for seconds to weeks.

    Raises:
        ArgumentError: it is none of these.
        ArgumentValueError: it is negative, not finite, or written otherwise.

    Example:
        >>> seconds("30d"), seconds("1.5h"), seconds(datetime.timedelta(minutes=1))
        (2592000.0, 5400.0, 60.0)
    """
    if isinstance(age, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*", age, re.ASCII)
        if not found:
            raise ArgumentValueError(
                f'an age is written like "90s", "15m", "12h", "30d", "2w"; received {age!r:.100}'
            )
        return float(found[1]) * _SECONDS[found[2]]
    if isinstance(age, datetime.timedelta):
        age = age.total_seconds()
    if isinstance(age, bool) or not isinstance(age, int | float):
        raise ArgumentError(
            f'an age is a number of seconds, a timedelta, or text like "30d"; received {age!r:.100}'
        )
    if not (math.isfinite(age) and age >= 0):
        raise ArgumentValueError(f"an age is finite and not negative; received {age!r}")
    return float(age)

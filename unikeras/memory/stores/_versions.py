"""Versions of rows: numbers that only grow, and what becomes of one that is none.

A store's file can be damaged or altered. A version that is no number, or so large that it cannot grow, must
not keep a session, or all new ones, from being written. It reads as `BROKEN`, and the next write replaces it by
a random number that nobody can hold from before.
"""

from __future__ import annotations

import random

# Double floats, which Redis' scripts count in, hold all integers up to 2**53.
LARGEST = 2**52
BROKEN = LARGEST + 1


def anew() -> int:
    """Return a version that no session had before, as far as chance can say, with room to grow.

    Example:
        >>> 2**40 <= anew() < LARGEST // 2
        True
    """
    return random.SystemRandom().randrange(2**40, LARGEST // 2)

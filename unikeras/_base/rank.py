"""The place of this process among those that train together."""

from __future__ import annotations


def rank() -> int:
    """Return the number of this process, from 0.

    Example:
        >>> rank()
        0
    """
    return 0


def world() -> int:
    """Return how many processes train together.

    Example:
        >>> world()
        1
    """
    return 1

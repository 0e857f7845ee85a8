"""Which of the processes of one training this is. Until several can run, there is one."""

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

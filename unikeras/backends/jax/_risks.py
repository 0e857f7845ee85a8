"""Which programs may fail while they run: their state must not be given away before they have ended well."""

from __future__ import annotations

import functools
import os
from typing import Any

import jax

from unikeras.backends.jax._content import equations


def may_fail(closed: Any) -> bool:
    """Say whether a program calls back into Python, or makes an array that cannot fit into memory.

    A donated array is lost when the program fails, on the CPU at least. Other causes of failure (memory that
    many arrays share out, a broken device) cannot be seen beforehand.
    """
    limit = _memory() / 2
    return any(
        "callback" in equation.primitive.name or any(_size(out) > limit for out in equation.outvars)
        for equation in equations(closed.jaxpr)
    )


def _size(variable: Any) -> float:
    aval = variable.aval
    return (
        float(aval.size) * aval.dtype.itemsize
        if hasattr(aval, "size") and hasattr(aval.dtype, "itemsize")
        else 0.0
    )


@functools.cache
def _memory() -> float:
    """Return the bytes that the default device has."""
    stats = jax.devices()[0].memory_stats() or {}
    return float(stats.get("bytes_limit") or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))

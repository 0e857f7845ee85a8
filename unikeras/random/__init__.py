"""Random numbers that are the same on every backend."""

from __future__ import annotations

from unikeras.random._portable import Portable as Portable
from unikeras.random._portable import continued as continued
from unikeras.random._portable import current as current
from unikeras.random._portable import is_portable as is_portable
from unikeras.random._portable import portable

__all__ = ["portable"]


def __dir__() -> list[str]:
    return sorted(__all__)

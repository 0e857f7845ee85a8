"""The backends: which there are, and the one in use."""

from __future__ import annotations

from functools import cache

from unikeras.backends._base import Backend, Program
from unikeras.backends._registry import available, names

__all__ = ["Backend", "Program", "available", "current", "names"]


@cache
def current() -> Backend:
    """Return the backend that Keras runs on in this process.

    Raises:
        UnknownBackend: Keras runs on something that unikeras does not.
        BackendUnavailable: the framework that was asked for is not installed, or none is.

    Example:
        >>> current().name in names()
        True
    """
    from unikeras._config import current as current_name
    from unikeras.backends._registry import load

    return load(current_name())

"""The backends: which there are, and the one in use."""

from __future__ import annotations

from unikeras.backends._choose import Choice as Choice
from unikeras.backends._choose import choose as choose
from unikeras.backends._choose import current_name as current_name
from unikeras.backends._choose import settle as settle
from unikeras.backends._contract import Backend, Composite, KeptValue, NativeModule, Program
from unikeras.backends._contract import BackendTape as BackendTape
from unikeras.backends._device import beside as beside
from unikeras.backends._device import device as device
from unikeras.backends._device import devices as devices
from unikeras.backends._registry import ENTRIES as ENTRIES
from unikeras.backends._registry import available, check, install_line, load, names, version

__all__ = [
    "Backend",
    "Composite",
    "KeptValue",
    "NativeModule",
    "Program",
    "available",
    "check",
    "current",
    "install_line",
    "load",
    "names",
    "version",
]

Tape = BackendTape

# Not functools.cache, which torch.compile traces through.
_current: Backend | None = None


def current() -> Backend:
    """Return the backend that Keras runs on in this process.

    Returns:
        The backend; each call returns the same one.

    Raises:
        UnknownBackend: Keras runs on something that unikeras does not.
        BackendUnavailable: the framework that was asked for is not installed, or none is.

    Example:
        >>> current().name in names()
        True
    """
    global _current
    if _current is None:
        _current = load(current_name())
    return _current


def __dir__() -> list[str]:
    return sorted(__all__)

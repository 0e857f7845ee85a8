"""A route taken in a process of its own, under another backend: a .keras file loads on each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unikeras import backends
from unikeras.export.writers._data_layers import integers_stay
from unikeras.export.writers.writer import Route, WriteRequest
from unikeras.workers import run_on


class Hop(Route):
    """Another route, under a backend that is not the one in use.

    Args:
        route: the route to take there.
        backend: one of the route's backends.
    """

    def __init__(self, route: Route, backend: str) -> None:
        self.name = f"{route.name} on {backend}"
        self.formats = route.formats
        self.backends = tuple(name for name in backends.names() if name != backend)
        self.packages = (*route.packages, backend)
        self.options = route.options
        self._route = route
        self._backend = backend

    def missing(self, format: str) -> str | None:
        """Say what the route lacks, or that the backend is not installed."""
        reason = self._route.missing(format)
        if reason or self._backend in backends.available():
            return reason
        return (
            f"{self.name} needs {self._backend}, not installed here: {backends.install_line(self._backend)}"
        )

    def write(self, model: Any, path: Path, order: WriteRequest) -> str | None:
        """Send the model and have it written there."""
        return run_on(self._backend, _write, self._route, model, path.absolute(), order)


def _write(route: Route, model: Any, path: Path, order: WriteRequest) -> str | None:
    with integers_stay():
        return route.write(model, path, order)

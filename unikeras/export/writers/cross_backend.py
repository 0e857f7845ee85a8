"""A writer taken in a process of its own, under another backend: a .keras file loads on each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unikeras import backends
from unikeras.export.writers._data_layers import integers_stay
from unikeras.export.writers.writer import Writer, WriteRequest
from unikeras.workers import run_on


class CrossBackendWriter(Writer):
    """Another writer, under a backend that is not the one in use.

    Args:
        writer: the writer to take there.
        backend: one of the writer's backends.
    """

    def __init__(self, writer: Writer, backend: str) -> None:
        self.name = f"{writer.name} on {backend}"
        self.formats = writer.formats
        self.backends = tuple(name for name in backends.names() if name != backend)
        self.packages = (*writer.packages, backend)
        self.options = writer.options
        self._writer = writer
        self._backend = backend

    def missing(self, format: str) -> str | None:
        """Say what the writer lacks, or that the backend is not installed."""
        reason = self._writer.missing(format)
        if reason or self._backend in backends.available():
            return reason
        return (
            f"{self.name} needs {self._backend}, not installed here: {backends.install_line(self._backend)}"
        )

    def write(self, model: Any, path: Path, request: WriteRequest) -> str | None:
        """Send the model and have it written there."""
        return run_on(self._backend, _write, self._writer, model, path.absolute(), request)


def _write(writer: Writer, model: Any, path: Path, request: WriteRequest) -> str | None:
    with integers_stay():
        return writer.write(model, path, request)

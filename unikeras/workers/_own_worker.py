"""A worker that one caller has for itself: fresh at its start, and ended when the caller is done."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from unikeras.workers._warm_workers import call, stop


class OwnWorker:
    """A process that nobody else calls; its memory, and what its functions leave in modules, are its caller's alone.

    It starts at the first call and stays warm until `stop`, or until the `with` block ends. A call that does not
    finish ends the process; the next one starts a fresh one.

    Args:
        backend: `"tensorflow"`, `"torch"` or `"jax"`; None for a process where none is set.

    Example:
        >>> import os
        >>> with OwnWorker(None) as one, OwnWorker(None) as other:
        ...     len({one.call(os.getpid), one.call(os.getpid), other.call(os.getpid)})
        2
    """

    def __init__(self, backend: str | None) -> None:
        self.backend = backend

    def call(self, f: Callable[..., Any], /, *args: Any, timeout: float | None = None) -> Any:
        """Run a function in the process.

        Args:
            f: the function.
            *args: its positional arguments.
            timeout: seconds for the whole call; None for no limit.

        Returns:
            What `f` returns; tensors and Keras variables in it arrive as numpy arrays.

        Raises:
            ArgumentError: an argument cannot travel.
            RemoteError: `f` raised, or its result cannot travel.
            WorkerDied: the process ended before `f` did.
            WorkerTimeout: the time is over; the process was stopped.
        """
        return call(self.backend, f, args, None, timeout, owner=self)

    def stop(self) -> None:
        """End the process; once is enough, more does no harm."""
        stop(self.backend, self)

    def __enter__(self) -> OwnWorker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

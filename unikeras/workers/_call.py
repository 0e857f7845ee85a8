"""One warm worker per backend, and the calls to it, one at a time."""

from __future__ import annotations

import atexit
import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from unikeras.errors import ArgumentError, WorkerTimeout
from unikeras.workers import _remote, _travel
from unikeras.workers._process import Reply, Worker


@dataclass
class _Slot:
    """The place of one worker; the lock is held while it works."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    worker: Worker | None = None


_slots: dict[str | None, _Slot] = {}


def call(
    backend: str | None,
    f: Callable[..., Any],
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    timeout: float | None = None,
) -> Any:
    """Run a function in the worker of a backend; with None, in one where no backend is set.

    Takes its arguments as `unikeras.run_on` does and raises what that raises, but does not ask
    whether the backend is installed.

    Example:
        >>> import os
        >>> call(None, os.getpid) == os.getpid()
        False
    """
    if not callable(f):
        raise ArgumentError(f"a worker runs functions; received {f!r}")
    if timeout is not None and not (isinstance(timeout, int | float) and timeout > 0):
        raise ArgumentError(f"timeout is a number of seconds above 0, or None; received {timeout!r}")
    deadline = None if timeout is None else time.monotonic() + timeout
    name = getattr(f, "__qualname__", type(f).__qualname__)
    kind, payload = _ask(backend, _travel.pack_call(f, args, dict(kwargs or {})), name, deadline)
    if kind == _remote.RAISED:
        raise _remote.error_from(payload, f"{name} on the {backend or 'plain'} worker")
    return _travel.unpack(payload, f"what {name} returned")


def _ask(backend: str | None, request: _travel.Packed, name: str, deadline: float | None) -> Reply:
    slot = _slots.setdefault(backend, _Slot())
    patience = math.inf if deadline is None else deadline - time.monotonic()
    if not slot.lock.acquire(timeout=min(max(0.0, patience), threading.TIMEOUT_MAX)):
        raise WorkerTimeout(f"the {backend or 'plain'} worker is busy with another call; {name} never began")
    try:
        if slot.worker is None or not slot.worker.is_alive():
            _stop(slot)
            slot.worker = Worker(backend)
        return slot.worker.ask(request, name, deadline)
    except BaseException:
        # Ctrl-C, a timeout, a death: whatever state the worker is in, nobody waits for its answer now.
        _stop(slot)
        raise
    finally:
        slot.lock.release()


def _stop(slot: _Slot) -> None:
    worker, slot.worker = slot.worker, None
    if worker is not None:
        worker.kill()


@atexit.register
def shutdown() -> None:
    """Stop all workers of this process, busy ones too; the next call starts a fresh one.

    Example:
        >>> shutdown()
    """
    for slot in list(_slots.values()):
        _stop(slot)


def _forget_after_fork() -> None:
    # The workers belong to the process that started them, and its locks may be held by threads that
    # are not here. Closing our copy of the connections lets the workers notice when their owner ends.
    for slot in _slots.values():
        if slot.worker is not None:
            slot.worker.abandon()
    _slots.clear()


os.register_at_fork(after_in_child=_forget_after_fork)

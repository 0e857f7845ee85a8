"""One warm worker per backend, workers that one caller has for itself, and the calls to them, one at a time."""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from unikeras._base.locks import NamedLocks
from unikeras.errors import ArgumentError, ArgumentValueError, RemoteError, WorkerError, WorkerTimeout
from unikeras.workers import _remote, _travel
from unikeras.workers._process import Reply, Worker


class _UnusableResult(RemoteError, ArgumentError):
    """What a function returned cannot be unpickled here."""


@dataclass
class _Slot:
    """The place of one worker; calls of it take turns."""

    locks: NamedLocks = field(default_factory=NamedLocks)
    worker: Worker | None = None


_CALL = ("call",)
# By backend, and by the owner of a worker that others do not call; None for the one that all share.
_slots: dict[tuple[str | None, object], _Slot] = {}


def call(
    backend: str | None,
    f: Callable[..., Any],
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    timeout: float | None = None,
    owner: object = None,
) -> Any:
    """Run a function in the worker of a backend; with None, in one where no backend is set.

    Unlike `unikeras.run_on`, it does not check whether the backend is installed.

    Args:
        backend: a backend's name, or None.
        f: the function.
        args: its positional arguments.
        kwargs: its keyword arguments.
        timeout: seconds for the whole call; None for no limit.
        owner: whose worker it is, hashable; None for the one that all callers share.

    Returns:
        What `f` returns; tensors and Keras variables in it arrive as numpy arrays.

    Raises:
        ArgumentError: `f` is not callable, an argument cannot travel, or `timeout` is not a number.
        ArgumentValueError: `timeout` is not above 0, or an argument is nested too deeply.
        RemoteError: `f` raised, or its result cannot travel.
        WorkerError: what came back is no answer of a worker.
        WorkerDied: the process ended before `f` did.
        WorkerTimeout: the time is over; the process was stopped.

    Example:
        >>> import os
        >>> call(None, os.getpid) == os.getpid()
        False
    """
    if not callable(f):
        raise ArgumentError(f"a worker runs functions; received {f!r}")
    if timeout is not None and not (isinstance(timeout, int | float) and timeout > 0):
        wrong = ArgumentValueError if isinstance(timeout, int | float) else ArgumentError
        raise wrong(f"timeout is a number of seconds above 0, or None; received {timeout!r}")
    deadline = None if timeout is None else time.monotonic() + timeout
    name = getattr(f, "__qualname__", type(f).__qualname__)
    slot = _slots.setdefault((backend, owner), _Slot())
    kind, content = _request(slot, backend, _pack_call(f, args, dict(kwargs or {}), name), name, deadline)
    where = f"{name} on the {backend or 'plain'} worker"
    if kind == _remote.RAISED:
        raise _error_of(content, where)
    try:
        return _travel.unpack(content, f"what {name} returned")
    except ArgumentError as error:
        raise _UnusableResult(str(error)) from error


def _pack_call(
    f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], name: str
) -> _travel.Packed:
    try:
        return _travel.pack_call(f, args, kwargs)
    except RecursionError as error:
        raise ArgumentValueError(
            f"an argument of {name} is nested too deeply to be sent to another process; send it in flat pieces, such "
            "as a list of the parts"
        ) from error


def _error_of(content: memoryview, where: str) -> WorkerError:
    try:
        return _remote.error_from(bytes(content), where)
    except Exception as error:  # bytes that are no pickle may raise anything
        return WorkerError(f"{where} raised an error that cannot be read here: {error!r:.200}")


def _request(
    slot: _Slot, backend: str | None, request: _travel.Packed, name: str, deadline: float | None
) -> Reply:
    try:
        return slot.locks.run(_CALL, lambda: _take_turn(slot, backend, request, name, deadline), deadline)
    except WorkerTimeout:
        raise
    except TimeoutError:
        raise WorkerTimeout(
            f"the {backend or 'plain'} worker is busy with another call; {name} never began"
        ) from None


def _take_turn(
    slot: _Slot, backend: str | None, request: _travel.Packed, name: str, deadline: float | None
) -> Reply:
    try:
        if slot.worker is None or not slot.worker.is_ready():
            _stop(slot)
            slot.worker = Worker(backend)
            slot.worker.start()
        return slot.worker.ask(request, name, deadline)
    except BaseException:
        # Ctrl-C, a timeout, a death: whatever state the worker is in, nobody waits for its answer now.
        _stop(slot)
        raise


def _stop(slot: _Slot) -> None:
    worker = slot.worker
    if worker is not None:
        worker.kill()  # first: where an interrupt comes, the worker is still known, and not ready
        if slot.worker is worker:
            slot.worker = None


def stop(backend: str | None, owner: object) -> None:
    """Stop the worker that one owner has for itself, busy or not.

    Args:
        backend: its backend's name, or None.
        owner: whose it is.

    Example:
        >>> stop("torch", "nobody")
    """
    slot = _slots.pop((backend, owner), None)
    if slot is not None:
        _stop(slot)


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

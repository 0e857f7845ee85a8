"""Locks that no exception leaves held, wherever it comes from: Ctrl-C, a signal handler, a thread that was lost.

Python runs signal handlers between any two instructions, also between the one that takes a lock and the one that
enters `try`. A lock that only its holder can release may then stay locked for ever. Here whoever waits can see
whether the holder is still at work, by looking at its thread's stack, and else goes first.

No frame is kept: after a fork, the child's copies of the other threads' frames are memory that was freed.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Collection
from types import FrameType
from typing import TypeVar

from unikeras.errors import StateError

Result = TypeVar("Result")

# How often, in seconds, who waits looks whether the holder is still there; a holder that leaves wakes them at once.
_LOOK = 0.05
# A look at a thread that runs meanwhile may miss the frames below a generator that is just suspended.
_LOOKS = 3


class LockRequest:
    """A thread's request for locks: it waits in the queue, then holds them, until it leaves the queue.

    Args:
        names: of the locks; two requests exclude each other where they share a name.
    """

    def __init__(self, names: Collection[str]) -> None:
        self.names = frozenset(names)
        self.thread = threading.get_ident()

    def is_in_use(self) -> bool:
        """Say whether the thread is still at what the request is for."""
        if self.thread == threading.get_ident():
            return self._is_on(sys._getframe())
        return any(self._is_on(sys._current_frames().get(self.thread)) for _ in range(_LOOKS))

    def is_held_by(self, frame: FrameType) -> bool:
        """Say whether a frame of the thread's stack is the one that uses the request."""
        return frame.f_code is NamedLocks.run.__code__ and frame.f_locals.get("request") is self

    def _is_on(self, frame: FrameType | None) -> bool:
        while frame is not None:
            if self.is_held_by(frame):
                return True
            frame = frame.f_back
        return False


class NamedLocks:
    """One lock for each name, granted in the order in which threads ask for it.

    Example:
        >>> locks = NamedLocks()
        >>> locks.run(["alice", "bob"], lambda: "nobody else is at alice or bob")
        'nobody else is at alice or bob'
    """

    def __init__(self) -> None:
        # A dict keeps the order, and each change of it is one instruction, which no signal can divide. Each request
        # has a gate to wait at, which is opened when it leaves.
        self._queue: dict[LockRequest, threading.Lock] = {}

    def run(
        self, names: Collection[str], work: Callable[[], Result], deadline: float | None = None
    ) -> Result:
        """Do some work while nobody else works under any of the names.

        Args:
            names: all of them are waited for before any is taken, so that two threads never wait for each other.
            work: a function without arguments.
            deadline: for the wait, on `time.monotonic()`'s clock; None to wait for ever.

        Returns:
            What the work returns.

        Raises:
            TimeoutError: the deadline has passed; the work did not begin.
            StateError: this thread is at work under one of the names already.
        """
        request = LockRequest(names)
        try:
            self.enter(request, deadline)
            return work()
        finally:
            self.leave(request)

    def enter(self, request: LockRequest, deadline: float | None = None) -> None:
        """Wait until it is the request's turn; `run` does this, and leaves."""
        gate = threading.Lock()
        gate.acquire()
        self._queue.setdefault(request, gate)
        for other, its_gate in self._ahead_of(request).items():
            self._wait_for(other, its_gate, deadline)

    def leave(self, request: LockRequest) -> None:
        """Let the next one through; a request that is not in the queue is ignored."""
        gate = self._queue.pop(request, None)
        if gate is not None:
            gate.release()

    def _ahead_of(self, request: LockRequest) -> dict[LockRequest, threading.Lock]:
        """Return the requests to wait for: those that exclude this one, except those that wait for this thread."""
        waiting_for_us: set[str] = set()
        found = {}
        for other, gate in list(self._queue.items()):
            if other is request:
                break
            if other.thread == request.thread:
                waiting_for_us.update(self._names_still_held(other, request))
            elif not waiting_for_us.isdisjoint(other.names):
                waiting_for_us |= other.names
            elif not other.names.isdisjoint(request.names):
                found[other] = gate
        return found

    def _names_still_held(self, other: LockRequest, request: LockRequest) -> Collection[str]:
        """Drop a request of this thread that an exception left behind; refuse to wait for one that it still uses."""
        if not other.is_in_use():
            self.leave(other)
            return ()
        if not other.names.isdisjoint(request.names):
            raise StateError(
                "this thread is in the middle of the same work, further up in its stack, so waiting for it would "
                "never end; a signal handler or a callback has to do its work after that returns"
            )
        return other.names

    def _wait_for(self, other: LockRequest, gate: threading.Lock, deadline: float | None) -> None:
        while other in self._queue:
            left = _LOOK if deadline is None else deadline - time.monotonic()
            if gate.acquire(timeout=max(0.0, min(_LOOK, left))):
                gate.release()  # for the next one who waits
                return
            if not other.is_in_use():
                self.leave(other)
            elif left <= 0:
                raise TimeoutError

"""Threads of one process wait for a session instead of racing for it; processes race, and the store decides."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection, Iterator

from unikeras.memory import _forks


class Turnstile:
    """Lets one thread at a time through, per session.

    Example:
        >>> turnstile = Turnstile()
        >>> with turnstile.hold(["alice", "bob"]):
        ...     pass  # nobody else holds either
    """

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._busy: set[str] = set()
        _forks.watch(self)

    @contextlib.contextmanager
    def hold(self, sessions: Collection[str]) -> Iterator[None]:
        """Wait until nobody holds any of the sessions, and hold all of them at once, inside the block."""
        mine = set(sessions)
        with self._free:
            # All or none, so that two threads never wait for each other.
            self._free.wait_for(lambda: mine.isdisjoint(self._busy))
            self._busy |= mine
        try:
            yield
        finally:
            with self._free:
                self._busy -= mine
                self._free.notify_all()

    def rest(self) -> None:
        """Stop the turnstile, for a fork."""
        self._free.acquire()

    def go_on(self, in_child: bool) -> None:
        """Let it turn again; the threads that hold sessions stayed in the parent."""
        if in_child:
            self._busy.clear()
        self._free.release()

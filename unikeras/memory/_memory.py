"""A store in the process' own memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Mapping

from unikeras.memory import _forks
from unikeras.memory._store import Row, Store, encode


class MemoryStore(Store):
    """Keeps sessions in this process, for as long as it lives; for tests, and for memory that may go.

    Example:
        >>> import unikeras as uk
        >>> store = uk.memory.MemoryStore()
        >>> store.write({"alice": (0, b"state")})
        {'alice': 1}
        >>> list(store.ids())
        ['alice']
    """

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._floor = 0  # no version of a deleted session is higher
        self._lock = threading.Lock()
        _forks.watch(self)

    def read(self, sessions: Collection[str]) -> dict[str, Row]:
        """Return the rows of those sessions that there are."""
        _check(sessions)
        with self._lock:
            return {session: self._rows[session] for session in sessions if session in self._rows}

    def write(self, rows: Mapping[str, tuple[int, bytes]]) -> dict[str, int]:
        """Write each blob whose session still has the version given with it."""
        _check(rows)
        with self._lock:
            return {
                session: self._put(session, blob)
                for session, (expected, blob) in rows.items()
                if self._version(session) == expected
            }

    def delete(self, sessions: Collection[str]) -> None:
        """Delete those of the sessions that there are."""
        _check(sessions)
        with self._lock:
            for session in sessions:
                self._remove(session)

    def ids(self) -> Iterator[str]:
        """Yield the id of each session, as they were at the first."""
        with self._lock:
            found = list(self._rows)
        yield from found

    def expire(self, before: float) -> int:
        """Delete the sessions last written before a time, and return how many."""
        with self._lock:
            old = [session for session, row in self._rows.items() if row.updated < before]
            for session in old:
                self._remove(session)
        return len(old)

    def rest(self) -> None:
        """Let nobody write, for a fork."""
        self._lock.acquire()

    def go_on(self, in_child: bool) -> None:
        """Go on; the child has a copy of its own from here."""
        self._lock.release()

    def _version(self, session: str) -> int:
        return self._rows[session].version if session in self._rows else 0

    def _put(self, session: str, blob: bytes) -> int:
        version = (self._version(session) or self._floor) + 1
        self._rows[session] = Row(version, bytes(blob), time.time())
        return version

    def _remove(self, session: str) -> None:
        self._floor = max(self._floor, self._version(session))
        self._rows.pop(session, None)


def _check(sessions: Collection[str]) -> None:
    for session in sessions:
        encode(session)

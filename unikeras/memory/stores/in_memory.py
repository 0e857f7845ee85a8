"""A store in the process' own memory."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping

from unikeras._base.locks import NamedLocks
from unikeras.memory.stores.base import Row, Store, encode

_ROWS = ("rows",)


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
        self._locks = NamedLocks()

    def read(self, sessions: Collection[str]) -> dict[str, Row]:
        """Return the rows of the existing sessions."""
        _check(sessions)
        return self._locks.run(
            _ROWS, lambda: {session: self._rows[session] for session in sessions if session in self._rows}
        )

    def write(self, rows: Mapping[str, tuple[int, bytes]]) -> dict[str, int]:
        """Write each blob whose session still has the version given with it, all at once."""
        _check(rows)
        return self._locks.run(_ROWS, lambda: self._write(rows))

    def delete(self, sessions: Collection[str]) -> None:
        """Delete the sessions; unknown ids are ignored."""
        _check(sessions)
        self._locks.run(_ROWS, lambda: self._remove(sessions))

    def ids(self) -> Iterator[str]:
        """Yield the id of each session, as they were at the first."""
        yield from self._locks.run(_ROWS, lambda: list(self._rows))

    def expire(self, before: float) -> int:
        """Delete the sessions last written before a time, and return how many."""
        return self._locks.run(
            _ROWS, lambda: self._remove([one for one, row in self._rows.items() if row.updated < before])
        )

    def _version(self, session: str) -> int:
        return self._rows[session].version if session in self._rows else 0

    def _write(self, rows: Mapping[str, tuple[int, bytes]]) -> dict[str, int]:
        new = {
            session: Row((expected or self._floor) + 1, bytes(blob), time.time())
            for session, (expected, blob) in rows.items()
            if self._version(session) == expected
        }
        self._rows.update(new)  # one instruction: an interrupt comes before all of it or after
        return {session: row.version for session, row in new.items()}

    def _remove(self, sessions: Collection[str]) -> int:
        self._floor = max([self._floor, *map(self._version, sessions)])
        return sum(self._rows.pop(session, None) is not None for session in sessions)


def _check(sessions: Collection[str]) -> None:
    for session in sessions:
        encode(session)

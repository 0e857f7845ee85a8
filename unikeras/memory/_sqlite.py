"""A store in one SQLite file, for any number of threads and processes of one machine."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from unikeras._files import whole
from unikeras.errors import ArgumentValueError, OutputError, StoreError
from unikeras.memory import _forks
from unikeras.memory._sqlite_file import connect, named_errors, transaction
from unikeras.memory._store import Row, Store, decode, encode

_PAGE = 1000

_READ = "SELECT version, blob, updated FROM sessions WHERE id = ?"
_INSERT = """INSERT INTO sessions (id, version, updated, blob) SELECT ?, version + 1, ?, ? FROM floor WHERE true
    ON CONFLICT (id) DO NOTHING RETURNING version"""
_UPDATE = """UPDATE sessions SET version = version + 1, updated = ?, blob = ? WHERE id = ? AND version = ?
    RETURNING version"""
_RAISE_FLOOR = (
    """UPDATE floor SET version = max(version, coalesce((SELECT max(version) FROM sessions WHERE {}), 0))"""
)
_DELETE = "DELETE FROM sessions WHERE {}"


class SQLiteStore(Store):
    """Keeps sessions in one file, in write-ahead mode; what a write returned for is on the disk.

    The file is readable by its owner only, what is deleted is overwritten with zeros, and a connection
    never crosses a fork.

    Args:
        path: the file; it is created where there is none, its folder has to exist.
        synchronous: `"full"`: a write returns when it is on the disk. `"normal"`: faster; after a power
            failure the last writes may be missing, but what is there is whole and in order.
        busy_timeout: how long to wait for other processes, in seconds.

    Raises:
        StoreError: the file is of something else, of a newer unikeras, damaged, or cannot be opened.

    Example:
        >>> import unikeras as uk
        >>> with uk.memory.SQLiteStore("memory.db") as store:
        ...     written = store.write({"alice": (0, b"state")})
        ...     store.backup("backup.db")
        >>> with uk.memory.SQLiteStore("backup.db") as store:
        ...     store.read(["alice"])["alice"].blob
        b'state'
    """

    def __init__(
        self, path: str | os.PathLike[str], *, synchronous: str = "full", busy_timeout: float = 30.0
    ) -> None:
        _check_options(synchronous, busy_timeout)
        self.path = Path(path).resolve()
        self._options = (synchronous, busy_timeout)
        self._lock = threading.RLock()
        self._copying = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        _forks.watch(self)
        with self._lock:
            self._connected()

    def read(self, sessions: Collection[str]) -> dict[str, Row]:
        """Return the rows of those sessions that there are."""
        names = {session: encode(session) for session in sessions}
        with self._transaction("read", "DEFERRED") as connection:
            found = {
                session: connection.execute(_READ, (name,)).fetchone() for session, name in names.items()
            }
        return {session: Row(*row) for session, row in found.items() if row}

    def write(self, rows: Mapping[str, tuple[int, bytes]]) -> dict[str, int]:
        """Write each blob whose session still has the version given with it, in one transaction."""
        names = {session: encode(session) for session in rows}
        now = time.time()
        with self._transaction("write") as connection:
            new = {
                session: _write(connection, names[session], expected, blob, now)
                for session, (expected, blob) in rows.items()
            }
        return {session: version for session, version in new.items() if version}

    def delete(self, sessions: Collection[str]) -> None:
        """Delete those of the sessions that there are, and zero their bytes in the file and in its log."""
        names = [(encode(session),) for session in sessions]
        with self._transaction("write") as connection:
            connection.executemany(_RAISE_FLOOR.format("id = ?"), names)
            connection.executemany(_DELETE.format("id = ?"), names)
        self._clear_log()

    def ids(self) -> Iterator[str]:
        """Yield the ids in order, a page at a time; nothing is locked in between."""
        start = b""
        while page := self._ids_from(start):
            yield from map(decode, page)
            start = page[-1] + b"\0"  # the next larger one there can be

    def expire(self, before: float) -> int:
        """Delete the sessions last written before a time, and return how many."""
        with self._transaction("write") as connection:
            connection.execute(_RAISE_FLOOR.format("updated < ?"), (before,))
            count = connection.execute(_DELETE.format("updated < ?"), (before,)).rowcount
        if count:
            self._clear_log()
        return count

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Copy the store to another file while it is in use; the copy is of one moment, whole or not there.

        Args:
            path: the copy; an earlier one is replaced.

        Raises:
            ArgumentValueError: the path is the store's own, or that of a store in use.
            StoreError: the copy cannot be written.
        """
        final = Path(path).resolve()
        if final == self.path or Path(f"{final}-wal").exists():
            raise ArgumentValueError(f"{final} is a store in use; give the backup another path")
        try:
            with whole(final) as temporary, named_errors(final, "write the backup"):
                self._copy(temporary)
        except OutputError as error:
            raise StoreError(f"{error}; the store itself is untouched") from error

    def close(self) -> None:
        """Close the file; calls after this raise a `StoreError`."""
        with self._lock:
            self._closed = True
            self._disconnect()

    def __len__(self) -> int:
        with self._transaction("read", "DEFERRED") as connection:
            return int(connection.execute("SELECT count(*) FROM sessions").fetchone()[0])

    def __contains__(self, session: object) -> bool:
        if not isinstance(session, str):
            return False
        with self._transaction("read", "DEFERRED") as connection:
            query = "SELECT 1 FROM sessions WHERE id = ?"
            return connection.execute(query, (encode(session),)).fetchone() is not None

    def rest(self) -> None:
        """Close the connection, for a fork; the next call on either side opens one of its own."""
        self._copying.acquire()
        self._lock.acquire()
        with contextlib.suppress(sqlite3.Error):  # nobody could catch it here
            self._disconnect()

    def go_on(self, in_child: bool) -> None:
        """Let calls through again."""
        self._lock.release()
        self._copying.release()

    def _connected(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreError(f"the store {self.path} was closed; open it again")
        if self._connection is None:
            self._connection = connect(self.path, *self._options)
            self._finalizer = weakref.finalize(self, self._connection.close)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection = None
            self._finalizer()

    @contextlib.contextmanager
    def _transaction(self, doing: str, kind: str = "IMMEDIATE") -> Iterator[sqlite3.Connection]:
        with self._lock, named_errors(self.path, doing):
            connection = self._connected()
            with transaction(connection, kind):
                yield connection

    def _ids_from(self, start: bytes) -> list[bytes]:
        query = f"SELECT id FROM sessions WHERE id >= ? ORDER BY id LIMIT {_PAGE}"
        with self._transaction("read", "DEFERRED") as connection:
            return [name for (name,) in connection.execute(query, (start,))]

    def _clear_log(self) -> None:
        """Empty the write-ahead log, which still has what was deleted; where somebody reads it, they do it later."""
        with self._lock, named_errors(self.path, "write"):
            self._connected().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _copy(self, path: Path) -> None:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with self._copying:
            with self._lock:
                self._connected()
            # A connection of its own: other threads read and write while this one copies.
            with (
                contextlib.closing(connect(self.path, *self._options)) as source,
                contextlib.closing(sqlite3.connect(path, isolation_level=None)) as copy,
            ):
                source.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE").fetchall()  # one file, nothing beside it


def _write(connection: sqlite3.Connection, name: bytes, expected: int, blob: bytes, now: float) -> int | None:
    """Write one row and return its new version, or None where it has not the version expected."""
    if expected:
        rows = connection.execute(_UPDATE, (now, blob, name, expected)).fetchall()
    else:
        rows = connection.execute(_INSERT, (name, now, blob)).fetchall()
    return rows[0][0] if rows else None


def _check_options(synchronous: str, busy_timeout: float) -> None:
    problems = []
    if synchronous not in ("full", "normal"):
        problems.append(f'synchronous is "full" or "normal", not {synchronous!r}')
    if not (isinstance(busy_timeout, int | float) and 0 <= busy_timeout < 1e6):
        problems.append(f"busy_timeout is a number of seconds from 0 to a million, not {busy_timeout!r}")
    if problems:
        raise ArgumentValueError("; ".join(problems))

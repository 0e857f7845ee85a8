"""A store in one SQLite file, for any number of threads and processes of one machine."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from unikeras._base.files import whole
from unikeras._base.locks import Turnstile
from unikeras.errors import ArgumentValueError, OutputError, StoreError
from unikeras.memory.stores import _forks
from unikeras.memory.stores import _sqlite_rows as _rows_of_sqlite
from unikeras.memory.stores._sqlite_file import (
    Identity,
    check_identity,
    check_schema,
    connect,
    identity,
    named_errors,
    schema_version,
    transact,
)
from unikeras.memory.stores.base import Row, Store, encode

Result = TypeVar("Result")

_crossed: list[sqlite3.Connection] = []  # a fork; closing one would take the log from under the parent


@dataclass
class _Open:
    """A connection, what closes it at the latest, and the schema that was compared."""

    connection: sqlite3.Connection
    close: weakref.finalize[..., SQLiteStore]
    schema: int


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
        self._given = Path(path).absolute()
        self.path = self._given.resolve()
        self._options = (synchronous, busy_timeout)
        self._turns = Turnstile()
        self._open: _Open | None = None
        self._identity: Identity = {}
        self._closed = False
        _forks.watch(self)
        self._turns.run(_forks.USE, self._connected)

    def read(self, sessions: Collection[str]) -> dict[str, Row]:
        """Return the rows of the existing sessions."""
        names = {session: encode(session) for session in sessions}
        found = self._transact(
            "read", lambda connection: _rows_of_sqlite.read(connection, names.values()), "DEFERRED"
        )
        return {session: found[name] for session, name in names.items() if name in found}

    def write(self, rows: Mapping[str, tuple[int, bytes]]) -> dict[str, int]:
        """Write each blob whose session still has the version given with it, in one transaction."""
        names = {session: encode(session) for session in rows}
        encoded = {names[session]: row for session, row in rows.items()}
        new = self._transact(
            "write", lambda connection: _rows_of_sqlite.write(connection, encoded, time.time())
        )
        return {session: new[name] for session, name in names.items() if name in new}

    def delete(self, sessions: Collection[str]) -> None:
        """Delete the sessions, and zero their bytes in the file and in its log; unknown ids are ignored."""
        names = [encode(session) for session in sessions]
        self._transact("write", lambda connection: _rows_of_sqlite.delete(connection, names))
        self._clear_log()

    def ids(self) -> Iterator[str]:
        """Yield the ids in order, a page at a time; nothing is locked in between."""
        start = b""
        while page := self._names_from(start):
            yield from (_rows_of_sqlite.decode_name(self.path, name) for name in page)
            start = page[-1] + b"\0"  # the next larger one there can be

    def expire(self, before: float) -> int:
        """Delete the sessions last written before a time, and return how many."""
        count = self._transact("write", lambda connection: _rows_of_sqlite.expire(connection, before))
        if count:
            self._clear_log()
        return count

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Copy the store to another file while it is in use; the copy is of one moment, and is written atomically.

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
        self._turns.run(_forks.USE, self._close)

    def __len__(self) -> int:
        return self._transact("read", _rows_of_sqlite.count, "DEFERRED")

    def __contains__(self, session: object) -> bool:
        if not isinstance(session, str):
            return False
        name = encode(session)
        return self._transact("read", lambda connection: _rows_of_sqlite.has(connection, name), "DEFERRED")

    def rest(self, fork: _forks.Fork) -> None:
        """Close the connection, for a fork; the next call on either side opens one of its own.

        Args:
            fork: the fork that is about to happen.
        """
        self._turns.enter(fork)
        with contextlib.suppress(sqlite3.Error):  # nobody could catch it here
            self._disconnect()

    def go_on(self, fork: _forks.Fork, in_child: bool) -> None:
        """Let calls through again.

        Args:
            fork: the fork that happened.
            in_child: whether this is the child process.
        """
        if in_child and self._open is not None:  # the fork came from within a call
            self._open.close.detach()
            _crossed.append(self._open.connection)
            self._open = None
        self._turns.leave(fork)

    def _connected(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreError(f"the store {self.path} was closed; open it again")
        if self._open is None or not self._open.close.alive:
            connection = connect(self.path, *self._options, self._identity)
            with named_errors(self.path, "open"):
                # A link on the way to the file may lead elsewhere later, so the path as given counts, too.
                places = identity(self.path)
                self._identity = {**places, str(self._given): places[str(self.path)]}
                schema = schema_version(connection)
            self._open = _Open(connection, weakref.finalize(self, connection.close), schema)
        return self._open.connection

    def _disconnect(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def _close(self) -> None:
        self._closed = True
        self._disconnect()

    def _transact(
        self, doing: str, work: Callable[[sqlite3.Connection], Result], kind: str = "IMMEDIATE"
    ) -> Result:
        def turn() -> Result:
            connection = self._connected()
            result = transact(connection, lambda: self._checked(connection, work), kind)
            if kind != "DEFERRED":
                check_identity(self._identity)  # again: what was committed may be lost
            return result

        with named_errors(self.path, doing):
            return self._turns.run(_forks.USE, turn)

    def _checked(
        self, connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], Result]
    ) -> Result:
        check_identity(self._identity)
        schema = schema_version(connection)
        if self._open is not None and schema != self._open.schema:
            check_schema(self.path, connection)
            self._open.schema = schema
        return work(connection)

    def _names_from(self, start: bytes) -> list[Any]:
        return self._transact(
            "read", lambda connection: _rows_of_sqlite.names_from(connection, start), "DEFERRED"
        )

    def _clear_log(self) -> None:
        """Empty the write-ahead log, which still has what was deleted; where somebody reads it, they do it later."""
        with named_errors(self.path, "write"):
            self._turns.run(
                _forks.USE,
                lambda: self._connected().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall(),
            )

    def _copy(self, path: Path) -> None:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        self._turns.run(_forks.USE, self._connected)
        # A connection of its own: other threads read and write while this one copies.
        self._turns.run(_forks.COPY, lambda: self._copy_to(path))

    def _copy_to(self, path: Path) -> None:
        with (
            contextlib.closing(connect(self.path, *self._options, self._identity)) as source,
            contextlib.closing(sqlite3.connect(path, isolation_level=None)) as copy,
        ):
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE").fetchall()  # one file, nothing beside it


def _check_options(synchronous: str, busy_timeout: float) -> None:
    problems = []
    if synchronous not in ("full", "normal"):
        problems.append(f'synchronous is "full" or "normal", not {synchronous!r}')
    if not (isinstance(busy_timeout, int | float) and 0 <= busy_timeout < 1e6):
        problems.append(f"busy_timeout is a number of seconds from 0 to a million, not {busy_timeout!r}")
    if problems:
        raise ArgumentValueError("; ".join(problems))

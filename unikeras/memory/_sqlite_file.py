"""Opening a SQLite file as a store: created private, recognised, brought to this version of its tables."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from unikeras.errors import StoreError

# "ukme"; in the file's header, so that the file of another program is never touched.
APPLICATION_ID = 0x756B6D65

# Statements that bring a file from version i, its place here, to i + 1; a new file has version 0. A step that
# was ever released stays as it is.
MIGRATIONS: list[tuple[str, ...]] = [
    (
        "CREATE TABLE sessions"
        " (id BLOB NOT NULL UNIQUE, version INTEGER NOT NULL, updated REAL NOT NULL, blob BLOB NOT NULL) STRICT",
        # No version of a session that is gone is higher than this, and a session that comes back begins above.
        "CREATE TABLE floor (version INTEGER NOT NULL) STRICT",
        "INSERT INTO floor VALUES (0)",
    ),
]

_ADVICE = {
    "SQLITE_BUSY": "somebody has held it for longer than busy_timeout",
    "SQLITE_FULL": "nothing of this call was written; free some space and call again",
    "SQLITE_IOERR": "nothing of this call was written; see whether the disk is full or damaged",
    "SQLITE_READONLY": "the file, or its folder, cannot be written to",
    "SQLITE_CANTOPEN": "see whether the folder exists and can be written to",
    "SQLITE_NOTADB": "it is not a file of unikeras; give another path",
    "SQLITE_CORRUPT": "the file is damaged; put a backup in its place",
}

# Closing any descriptor of a file drops all locks that the process has on it, so that of a new file is closed
# before anybody else here can open the file.
_opening = threading.Lock()


@contextlib.contextmanager
def named_errors(path: Path, doing: str) -> Iterator[None]:
    """Turn what SQLite and the system raise into a `StoreError` that names the file and what to do."""
    try:
        yield
    except StoreError:
        raise
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorname", None) or ""
        advice = next((text for name, text in _ADVICE.items() if code.startswith(name)), "")
        raise StoreError(f"cannot {doing} {path}: {error}{advice and f' ({advice})'}") from error
    except OSError as error:
        raise StoreError(f"cannot {doing} {path}: {error.strerror or error}") from error


def connect(path: Path, synchronous: str, busy_timeout: float) -> sqlite3.Connection:
    """Return a connection to the store in a file, which is created where there is none.

    Args:
        path: the file.
        synchronous: `"full"` or `"normal"`.
        busy_timeout: how long to wait for others, in seconds.

    Raises:
        StoreError: the file is of something else, of a newer unikeras, or cannot be opened.
    """
    if path.is_dir():
        raise StoreError(
            f"{path} is a folder; a store is a file: give a path in it, such as {path}/memory.db"
        )
    if not path.parent.is_dir():
        raise StoreError(f"cannot open {path}: there is no folder {path.parent}; create it first")
    with named_errors(path, "open"), _opening:
        _create(path)
        connection = sqlite3.connect(path, busy_timeout, isolation_level=None, check_same_thread=False)
        try:
            _recognise(path, connection)
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            _write_ahead(path, connection, busy_timeout)
            _migrate(connection)
        except BaseException:
            connection.close()
            raise
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """Commit what the block does, or nothing of it."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # the error that led here is the one to tell of
            connection.execute("ROLLBACK")
        raise


def _create(path: Path) -> None:
    """Make a file that only its owner reads; SQLite gives its -wal and -shm files the same mode."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _number(connection: sqlite3.Connection, query: str) -> int:
    return int(connection.execute(query).fetchone()[0])


def _recognise(path: Path, connection: sqlite3.Connection) -> None:
    """Refuse a file that this version of unikeras did not make, before anything in it is changed."""
    with transaction(connection, "DEFERRED"):  # one look: another process may be creating the tables
        application = _number(connection, "PRAGMA application_id")
        tables = _number(connection, "SELECT count(*) FROM sqlite_schema")
        version = _number(connection, "PRAGMA user_version")
    if application != APPLICATION_ID and (application or tables or version):
        raise StoreError(f"{path} is a SQLite file of another program; give a path of its own to the store")
    if version > len(MIGRATIONS):
        raise StoreError(
            f"{path} has version {version} of the tables, and this unikeras knows {len(MIGRATIONS)}; "
            "update unikeras"
        )


def _write_ahead(path: Path, connection: sqlite3.Connection, patience: float) -> None:
    """Switch to write-ahead logging; SQLite does not wait for others by itself here."""
    deadline = time.monotonic() + patience
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    if mode != "wal":
        raise StoreError(
            f"cannot open {path}: its file system does not carry SQLite's write-ahead log; use a local disk"
        )


def _migrate(connection: sqlite3.Connection) -> None:
    if _number(connection, "PRAGMA user_version") == len(MIGRATIONS):
        return
    with transaction(connection):
        for step in MIGRATIONS[_number(connection, "PRAGMA user_version") :]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")

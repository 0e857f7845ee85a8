"""Opening a SQLite file as a store: created private, recognized, brought to this version of its tables."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from unikeras._base.locks import NamedLocks
from unikeras.errors import StoreError

Result = TypeVar("Result")
Identity = dict[str, tuple[int, int]]

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
_opening = NamedLocks()

_SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name LIMIT 20"


@contextlib.contextmanager
def wrap_errors(path: Path, doing: str) -> Iterator[None]:
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


def connect(path: Path, synchronous: str, busy_timeout: float, known: Identity) -> sqlite3.Connection:
    """Return a connection to the store in a file, which is created where there is none.

    Args:
        path: the file.
        synchronous: `"full"` or `"normal"`.
        busy_timeout: how long to wait for others, in seconds.
        known: what `identity` returned when the store was opened first; empty for the first time.

    Raises:
        StoreError: the file is of something else, of a newer unikeras, another one than at first, or cannot be opened.
    """
    if path.is_dir():
        raise StoreError(
            f"{path} is a folder; a store is a file: give a path in it, such as {path}/memory.db"
        )
    if not path.parent.is_dir():
        raise StoreError(f"cannot open {path}: there is no folder {path.parent}; create it first")
    with wrap_errors(path, "open"):
        return _opening.run(("open",), lambda: _open(path, synchronous, busy_timeout, known))


def _open(path: Path, synchronous: str, busy_timeout: float, known: Identity) -> sqlite3.Connection:
    if known:
        # The log and its memory are made anew where nobody has the file open.
        check_identity({name: known[name] for name in known if not name.endswith(("-wal", "-shm"))})
    else:
        _create(path)
    connection = sqlite3.connect(path, busy_timeout, isolation_level=None, check_same_thread=False)
    try:
        _distrust(connection)
        _recognize(path, connection)
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        _write_ahead(path, connection, busy_timeout)
        _migrate(connection)
        check_schema(path, connection)  # reads, so that the log is there from now on
    except BaseException:
        connection.close()
        raise
    return connection


def transact(connection: sqlite3.Connection, work: Callable[[], Result], kind: str = "IMMEDIATE") -> Result:
    """Do some work in a transaction: commit all of it, or nothing.

    A function and not a context manager: between the lines of a generator and of its `with` block an interrupt
    would leave the transaction open.
    """
    try:
        if connection.in_transaction:  # two interrupts, the second in the rollback below
            connection.execute("ROLLBACK")
        connection.execute(f"BEGIN {kind}")
        result = work()
        connection.execute("COMMIT")
        return result
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # the error that led here is the one to tell of
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        raise


def identity(path: Path) -> Identity:
    """Return which files stand at the paths of a store that is open: the database, its log, their shared memory."""
    return {name: _inode(name) for name in (str(path), f"{path}-wal", f"{path}-shm")}


def check_identity(known: Identity) -> None:
    """Refuse to continue in files that nobody else will find: SQLite itself writes on to a file that was removed.

    Raises:
        StoreError: a file was removed, moved, or replaced since the store was opened.
    """
    for name, inode in known.items():
        try:
            found = _inode(name)
        except FileNotFoundError:
            found = None
        if found != inode:
            what = "removed or moved" if found is None else "replaced"
            raise StoreError(
                f"{name} was {what} while the store was open, so nothing is written: it would be lost; "
                "put the file back, or close the store and open it again"
            )


def _inode(name: str) -> tuple[int, int]:
    status = os.stat(name)  # noqa: PTH116 - it runs in each transaction, and a Path takes longer than the call
    return status.st_dev, status.st_ino


def check_schema(path: Path, connection: sqlite3.Connection) -> None:
    """Refuse tables that unikeras did not make: triggers, views and expressions in them would run as our own code.

    Raises:
        StoreError: the tables, indexes, views or triggers differ from those of the file's version.
    """
    version = _number(connection, "PRAGMA user_version")
    found = connection.execute(_SCHEMA).fetchall()
    expected = _schema_of(version)
    if found != expected:
        known = {name for _, name, _, _ in expected}
        odd = [f"{kind} {name!r:.50}" for kind, name, _, _ in found if name not in known]
        raise StoreError(
            f"{path} has other tables than unikeras makes ({', '.join(odd) or 'sessions or floor differ'}), so "
            "nothing in it is used; give another path, or put a backup in its place"
        )


def schema_version(connection: sqlite3.Connection) -> int:
    """Return the number that SQLite changes with each change of the schema."""
    return _number(connection, "PRAGMA schema_version")


def _schema_of(version: int) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.Connection(":memory:", isolation_level=None)) as connection:
        for step in MIGRATIONS[:version]:
            for statement in step:
                connection.execute(statement)
        return connection.execute(_SCHEMA).fetchall()


def _distrust(connection: sqlite3.Connection) -> None:
    """Let nothing in the schema call functions, and damaged pages be noticed, before anything is read."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    if sys.version_info >= (3, 12):  # before, Python has no way to ask for it
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_TRIGGER, False)
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_VIEW, False)


def _create(path: Path) -> None:
    """Make a file that only its owner reads; SQLite gives its -wal and -shm files the same mode."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _number(connection: sqlite3.Connection, query: str) -> int:
    return int(connection.execute(query).fetchone()[0])


def _recognize(path: Path, connection: sqlite3.Connection) -> None:
    """Refuse a file that this version of unikeras did not make, before anything in it is changed."""

    def look() -> None:
        application = _number(connection, "PRAGMA application_id")
        tables = _number(connection, "SELECT count(*) FROM sqlite_schema")
        version = _number(connection, "PRAGMA user_version")
        if application != APPLICATION_ID and (application or tables or version):
            raise StoreError(
                f"{path} is a SQLite file of another program; give a path of its own to the store"
            )
        if not 0 <= version <= len(MIGRATIONS):
            raise StoreError(
                f"{path} has version {version} of the tables, and this unikeras knows {len(MIGRATIONS)}; "
                "update unikeras"
            )
        check_schema(path, connection)

    transact(connection, look, "DEFERRED")  # one look: another process may be creating the tables


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

    def migrate() -> None:
        for step in MIGRATIONS[_number(connection, "PRAGMA user_version") :]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")

    transact(connection, migrate)

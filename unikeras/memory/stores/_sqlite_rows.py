"""What a SQLite store does inside a transaction: read, write, delete and list rows, whatever a damaged file holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from unikeras.errors import StoreError
from unikeras.memory.stores._versions import BROKEN, LARGEST, anew
from unikeras.memory.stores.base import Row, decode

_PAGE = 1000


def _sound(smallest: int) -> str:
    return f"(typeof(version) = 'integer' AND version BETWEEN {smallest} AND {LARGEST})"


_VERSION = f"(CASE WHEN {_sound(1)} THEN version ELSE {BROKEN} END)"
_READ = f"SELECT {_VERSION}, blob, updated FROM sessions WHERE id = ?"
_INSERT = """INSERT INTO sessions (id, version, updated, blob) VALUES (?, ?, ?, ?)
    ON CONFLICT (id) DO NOTHING RETURNING version"""
_UPDATE = f"""UPDATE sessions SET version = CASE WHEN {_sound(1)} THEN version + 1 ELSE ? END, updated = ?, blob = ?
    WHERE id = ? AND {_VERSION} = ? RETURNING version"""
# An aggregate without a row is NULL; more than one floor, or one that is no number, is none.
_FLOOR = f"SELECT CASE WHEN count(*) = 1 THEN max(CASE WHEN {_sound(0)} THEN version END) END FROM floor"
_HIGHEST = f"SELECT max(version) FROM sessions WHERE {_sound(1)} AND {{}}"
_OLD = "(typeof(updated) <> 'real' OR updated < ?)"


def read(connection: sqlite3.Connection, names: Iterable[bytes]) -> dict[bytes, Row]:
    """Return the rows of those names that exist."""
    found = {name: connection.execute(_READ, (name,)).fetchone() for name in names}
    return {name: _row(*row) for name, row in found.items() if row}


def write(
    connection: sqlite3.Connection, rows: Mapping[bytes, tuple[int, bytes]], now: float
) -> dict[bytes, int]:
    """Write each blob whose row still has the version expected, and return the new versions."""
    new = {}
    for name, (expected, blob) in rows.items():
        if expected:
            found = connection.execute(_UPDATE, (anew(), now, blob, name, expected)).fetchall()
        else:
            found = connection.execute(_INSERT, (name, _floor(connection) + 1, now, blob)).fetchall()
        if found:
            new[name] = int(found[0][0])
    return new


def delete(connection: sqlite3.Connection, names: Collection[bytes]) -> None:
    """Delete rows; no version of a deleted one comes back."""
    for name in names:
        _delete(connection, "id = ?", name)


def expire(connection: sqlite3.Connection, before: float) -> int:
    """Delete the rows written before a time, and those that do not say when; return how many."""
    return _delete(connection, _OLD, before)


def count(connection: sqlite3.Connection) -> int:
    """Return how many rows there are."""
    return int(connection.execute("SELECT count(*) FROM sessions").fetchone()[0])


def has(connection: sqlite3.Connection, name: bytes) -> bool:
    """Say whether a row exists."""
    return connection.execute("SELECT 1 FROM sessions WHERE id = ?", (name,)).fetchone() is not None


def names_from(connection: sqlite3.Connection, start: bytes) -> list[Any]:
    """Return a page of names in order."""
    query = f"SELECT id FROM sessions WHERE id >= ? ORDER BY id LIMIT {_PAGE}"
    return [name for (name,) in connection.execute(query, (start,))]


def decode_name(path: Path, name: Any) -> str:
    """Return the session's id that a name stands for.

    Raises:
        StoreError: it stands for none.
    """
    try:
        return decode(name)
    except (UnicodeDecodeError, AttributeError) as error:
        raise StoreError(
            f"cannot read {path}: {name!r:.100} is the name of no session; the file is damaged, or another program "
            "wrote to it; put a backup in its place"
        ) from error


def _row(version: int, blob: Any, updated: Any) -> Row:
    return Row(version, blob, updated if isinstance(updated, float) else 0.0)


def _floor(connection: sqlite3.Connection) -> int:
    """Return the number above which new sessions begin; one that cannot be used is replaced."""
    floor = connection.execute(_FLOOR).fetchone()[0]
    return _set_floor(connection, anew()) if floor is None or floor == LARGEST else int(floor)


def _set_floor(connection: sqlite3.Connection, floor: int) -> int:
    connection.execute("DELETE FROM floor")
    connection.execute("INSERT INTO floor VALUES (?)", (floor,))
    return floor


def _delete(connection: sqlite3.Connection, which: str, value: Any) -> int:
    highest = connection.execute(_HIGHEST.format(which), (value,)).fetchone()[0] or 0
    if highest > _floor(connection):
        _set_floor(connection, highest)
    return int(connection.execute(f"DELETE FROM sessions WHERE {which}", (value,)).rowcount)

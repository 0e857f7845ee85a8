"""The SQLite library that a session store uses, and its known problems."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

# https://sqlite.org/wal.html#walresetbug names the versions.
_FIRST, _FIXED = (3, 7, 0), (3, 51, 3)
_PATCHED = ((3, 44, 6), (3, 50, 7))


@dataclass(frozen=True)
class SQLite:
    """A version of SQLite; `problem` says what is wrong with it, or is None."""

    version: str
    problem: str | None


def installed() -> SQLite:
    """Return the version that Python's `sqlite3` uses."""
    return describe(sqlite3.sqlite_version)


def describe(version: str) -> SQLite:
    """Return a version and its known problem.

    Example:
        >>> describe("3.51.3").problem, describe("3.44.6").problem
        (None, None)
        >>> describe("3.40.1").problem.partition(":")[0]
        'WAL-reset bug'
    """
    number = tuple(int(part) for part in version.split(".")[:3])
    return SQLite(version, _WAL_RESET if _has_wal_reset_bug(number) else None)


_WAL_RESET = (
    "WAL-reset bug: very rarely, two connections that write and checkpoint at the same moment lose writes or damage "
    "the file; fixed in 3.51.3, 3.50.7 and 3.44.6, unless your system has patched this version: "
    "https://sqlite.org/wal.html#walresetbug"
)


def _has_wal_reset_bug(number: tuple[int, ...]) -> bool:
    patched = any(number[:2] == fixed[:2] and number >= fixed for fixed in _PATCHED)
    return _FIRST <= number < _FIXED and not patched

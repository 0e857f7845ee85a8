"""What the doctor says of SQLite."""

from __future__ import annotations

import sqlite3

import pytest

from unikeras.cli import _sqlite_advice as _sqlite


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ("3.6.23", False),
        ("3.7.0", True),
        ("3.40.1", True),
        ("3.44.5", True),
        ("3.44.6", False),
        ("3.45.0", True),
        ("3.50.6", True),
        ("3.50.7", False),
        ("3.51.2", True),
        ("3.51.3", False),
        ("3.52.0", False),
        ("3.100.1", False),
    ],
)
def test_versions_with_the_wal_reset_bug_are_named(version, affected):
    assert (_sqlite.describe(version).problem is not None) == affected


def test_the_version_is_that_which_stores_use():
    assert _sqlite.installed().version == sqlite3.sqlite_version

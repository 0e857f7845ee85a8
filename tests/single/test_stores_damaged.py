"""Files and servers that were altered, moved or damaged: an error by name, and nobody else is kept from working."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time

import pytest
from helpers.recurrence import Gru, random_turns
from helpers.stores import RedisServer

import unikeras as uk
from unikeras.errors import ArgumentValueError, CorruptSession, StoreError
from unikeras.memory import RedisStore, Sessions, SQLiteStore
from unikeras.memory.stores._versions import BROKEN, LARGEST

# The forked processes end at once and run nothing of JAX, which warns of every fork once it is imported.
pytestmark = pytest.mark.filterwarnings("ignore:os.fork.. was called:RuntimeWarning")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "memory.db"
    with SQLiteStore(path) as store:
        store.write({"alice": (0, b"1"), "bob": (0, b"1")})
    return path


@pytest.fixture(scope="module")
def server():
    server = RedisServer()
    yield server
    server.stop()


def alter(path, *statements):
    """Change a file behind a store's back."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize("end", ["", "-wal", "-shm"])
@pytest.mark.parametrize("how", ["removed", "moved", "replaced"])
def test_a_file_that_is_no_longer_there_takes_no_write(path, end, how):
    store = SQLiteStore(path)
    store.write({"carol": (0, b"1")})
    file = path.with_name(path.name + end)
    if how == "replaced":
        shutil.copy(file, file.with_name("copy"))
        file.with_name("copy").replace(file)
    elif how == "moved":
        file.rename(file.with_name("elsewhere"))
    else:
        file.unlink()
    for call in (
        lambda: store.write({"carol": (1, b"2")}),
        lambda: store.delete(["carol"]),
        lambda: store.read(["carol"]),
        lambda: len(store),
    ):
        with pytest.raises(StoreError, match=rf"{file.name} was (removed or moved|replaced) while"):
            call()
    if how == "moved":  # back again, and all is well
        file.with_name("elsewhere").rename(file)
        assert store.write({"carol": (1, b"2")}) == {"carol": 2}


def test_a_link_that_leads_elsewhere_takes_no_write(path, tmp_path):
    link = tmp_path / "current.db"
    link.symlink_to(path)
    store = SQLiteStore(link)
    assert store.write({"carol": (0, b"1")})
    link.unlink()
    link.symlink_to(tmp_path / "other.db")
    SQLiteStore(tmp_path / "other.db").close()
    with pytest.raises(StoreError, match=r"current\.db was replaced while"):
        store.write({"carol": (1, b"2")})


def test_a_file_that_goes_while_it_is_written_is_told(path, monkeypatch):
    """The rows are in a file that nobody will find, so the call must not return as if they were written."""
    from unikeras.memory.stores import _sqlite_rows as _rows_of_sqlite

    write = _rows_of_sqlite.write

    def then_remove(*arguments):
        new = write(*arguments)
        path.rename(path.with_name("elsewhere"))
        return new

    store = SQLiteStore(path)
    monkeypatch.setattr(_rows_of_sqlite, "write", then_remove)
    with pytest.raises(StoreError, match="removed or moved"):
        store.write({"carol": (0, b"1")})


def test_a_file_that_went_during_a_fork_is_not_made_anew(path):
    store = SQLiteStore(path)
    path.rename(path.with_name("elsewhere"))
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    with pytest.raises(StoreError, match="removed or moved"):
        store.write({"carol": (0, b"1")})
    assert not path.exists()


SCHEMAS = {
    "a trigger": ["CREATE TRIGGER t AFTER UPDATE ON sessions BEGIN DELETE FROM sessions; END"],
    "a trigger on the floor": ["CREATE TRIGGER t AFTER UPDATE ON floor BEGIN DELETE FROM sessions; END"],
    "an endless view": [
        "DROP TABLE sessions",
        "CREATE VIEW sessions AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) "
        "SELECT x'61' id, n version, 0.0 updated, x'00' blob FROM c WHERE n < 0",
    ],
    "a view beside": ["CREATE VIEW v AS SELECT 1"],
    "an index with an expression": ["CREATE INDEX i ON sessions (hex(blob))"],
    "another table": ["CREATE TABLE sessions2 (x)"],
    "a default": [
        "DROP TABLE floor",
        "CREATE TABLE floor (version INTEGER NOT NULL DEFAULT (abs(-9223372036854775807 - 1))) STRICT",
    ],
    "a generated column": ["ALTER TABLE sessions ADD COLUMN g TEXT AS (hex(zeroblob(1000)))"],
    "no table": ["DROP TABLE sessions"],
    "tables that take any type": [
        "DROP TABLE sessions",
        "CREATE TABLE sessions (id UNIQUE, version, updated, blob)",
    ],
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_tables_that_unikeras_did_not_make_are_refused(path, name):
    alter(path, *SCHEMAS[name])
    with pytest.raises(StoreError, match=r"memory\.db has other tables than unikeras makes"):
        SQLiteStore(path)


def test_tables_that_change_while_the_store_is_open_are_refused(path):
    store = SQLiteStore(path)
    alter(path, "CREATE TRIGGER t AFTER UPDATE ON sessions BEGIN DELETE FROM sessions; END")
    for call in (lambda: store.write({"alice": (1, b"2")}), lambda: store.read(["alice"])):
        with pytest.raises(StoreError, match="trigger 't'"):
            call()
    alter(path, "DROP TRIGGER t")
    assert store.write({"alice": (1, b"2")}) == {"alice": 2}
    assert "bob" in store


def test_a_version_of_the_tables_that_is_no_number_of_them_is_refused(path):
    alter(path, "PRAGMA user_version = -1")
    with pytest.raises(StoreError, match="version -1"):
        SQLiteStore(path)


def test_the_connection_trusts_nothing(path):
    with SQLiteStore(path) as store:
        pragmas = {
            name: store._open_connection().execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("trusted_schema", "cell_size_check")
        }
    assert pragmas == {"trusted_schema": 0, "cell_size_check": 1}


@contextlib.contextmanager
def any_types(path):
    """Put values of any type where the tables do not allow them, as a damaged page would."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA writable_schema = ON")
    tables = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'").fetchall()
    for name, sql in tables:
        loose = sql.replace("STRICT", "").replace("NOT NULL", "")
        connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (loose, name))
    connection.execute("PRAGMA writable_schema = RESET")
    yield connection
    connection.execute("PRAGMA writable_schema = ON")
    for name, sql in tables:
        connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (sql, name))
    connection.execute("PRAGMA writable_schema = RESET")
    connection.close()


VERSIONS = ["9223372036854775807", str(LARGEST), str(BROKEN), "-5", "0", "'x'", "NULL"]


def assert_all_can_be_written(store):
    before = {name: row.version for name, row in store.read(["alice", "bob"]).items()}
    assert all(version > 0 for version in before.values())
    new = store.write({name: (version, b"2") for name, version in before.items()})
    assert set(new) == {"alice", "bob"}
    assert all(new[name] != before[name] for name in new), "who read before would win"
    assert store.write({name: (version, b"late") for name, version in before.items()}) == {}
    last = store.write({name: (new[name], b"3") for name in new})
    assert {name: row.version for name, row in store.read(["alice", "bob"]).items()} == last
    begun = store.write({"new": (0, b"1")})["new"]
    store.delete(["new", "alice"])
    again = store.write({"new": (0, b"1"), "alice": (0, b"1")})
    assert again["new"] != begun
    assert store.write({"alice": (last["alice"], b"late")}) == {}
    assert set(store.ids()) == {"alice", "bob", "new"}


@pytest.mark.parametrize("value", VERSIONS)
@pytest.mark.parametrize("where", ["a session", "the floor"])
def test_a_version_that_is_none_bars_nobody_in_sqlite(path, value, where):
    with any_types(path) as connection:
        if where != "the floor":
            connection.execute(f"UPDATE sessions SET version = {value} WHERE id = CAST('alice' AS BLOB)")
        if where != "a session":
            connection.execute(f"UPDATE floor SET version = {value}")
    with SQLiteStore(path) as store:
        assert_all_can_be_written(store)


@pytest.mark.parametrize("statement", ["DELETE FROM floor", "INSERT INTO floor VALUES (9)"])
def test_no_floor_and_two_of_them_bar_nobody(path, statement):
    alter(path, statement)
    with SQLiteStore(path) as store:
        assert_all_can_be_written(store)


@pytest.mark.parametrize(
    "value", [b"9223372036854775807", b"4503599627370496", b"-5", b"0", b"abc", b"1e3", b"", None]
)
@pytest.mark.parametrize("where", ["a session", "the floor"])
def test_a_version_that_is_none_bars_nobody_in_redis(server, value, where, request):
    store = RedisStore(server.url, prefix=f"{request.node.name}{where}:")
    store.write({"alice": (0, b"1"), "bob": (0, b"1")})
    if where != "the floor":
        store._client.hdel(store._key("alice"), "version")
        if value is not None:
            store._client.hset(store._key("alice"), "version", value)
    if where != "a session" and value is not None:
        store._client.set(store._common()[0], value)
    assert_all_can_be_written(store)


@pytest.mark.parametrize("value", ["'soon'", "NULL", "x'ff'", "CAST(x'ff' AS TEXT)"])
def test_a_time_that_is_none_in_sqlite(path, value):
    with any_types(path) as connection:
        connection.execute(f"UPDATE sessions SET updated = {value} WHERE id = CAST('alice' AS BLOB)")
    with SQLiteStore(path) as store:
        with contextlib.suppress(StoreError):  # text that is no UTF-8 cannot be read at all
            assert store.read(["alice"])["alice"].updated == 0.0
        assert "bob" in store.read(["bob"])
        assert store.expire(1.0) == 1
        assert list(store.ids()) == ["bob"]


def test_a_time_that_is_none_in_redis(server):
    store = RedisStore(server.url, prefix="times:")
    store.write(dict.fromkeys(("alice", "bob", "carol"), (0, b"1")))
    store._client.hset(store._key("alice"), "updated", b"soon")
    store._client.hdel(store._key("bob"), "updated")
    assert [row.updated for row in store.read(["alice", "bob"]).values()] == [0.0, 0.0]
    assert store.expire(time.time() - 100) == 2
    assert list(store.ids()) == ["carol"]


@pytest.mark.parametrize("value", ["x'fffe'", "'text'", "CAST(x'ff' AS TEXT)"])
def test_a_name_that_is_none_is_a_store_error_in_sqlite(path, value):
    with any_types(path) as connection:
        connection.execute(f"INSERT INTO sessions VALUES ({value}, 1, 1.0, x'00')")
    with SQLiteStore(path) as store:
        if value.startswith("x"):  # text comes before all bytes, and is not among the ids
            with pytest.raises(StoreError, match=r"memory\.db"):
                list(store.ids())
        assert store.write({"alice": (1, b"2")}) == {"alice": 2}


def test_a_name_that_is_none_is_a_store_error_in_redis(server):
    store = RedisStore(server.url, prefix="names:")
    store.write({"alice": (0, b"1")})
    store._client.zadd(store._common()[1], {b"\xff\xfe": 0})
    with pytest.raises(StoreError, match="cannot read the store at unix:"):
        list(store.ids())
    assert store.write({"alice": (1, b"2")}) == {"alice": 2}


def test_a_row_of_another_kind_in_redis_is_named_and_can_be_forgotten(server):
    store = RedisStore(server.url, prefix="kinds:")
    store.write({"alice": (0, b"1"), "bob": (0, b"1")})
    store._client.set(store._key("alice"), b"text")
    with pytest.raises(StoreError, match="WRONGTYPE"):
        store.read(["alice"])
    assert store.expire(1.0) == 1
    assert store.write({"alice": (0, b"2")})
    assert list(store.ids()) == ["alice", "bob"]


@pytest.mark.parametrize("value", ["'text'", "CAST(x'ff' AS TEXT)", "7", "NULL"])
def test_memory_that_is_no_bytes_is_no_conflict(path, value):
    turn = random_turns(1)[0]
    with any_types(path) as connection:
        connection.execute(f"UPDATE sessions SET blob = {value} WHERE id = CAST('alice' AS BLOB)")
    with Sessions(Gru(), store=path) as chats:
        with pytest.raises((StoreError, CorruptSession), match=r"alice|memory\.db"):
            chats.step("alice", turn)
        chats.forget("alice")
        chats.step("alice", turn)


@pytest.mark.parametrize("url", ["postgres://me:secret@localhost/db", "sqlite:///memory.db", "http://x/y"])
def test_a_url_of_no_store_names_the_stores_that_exist(url):
    scheme = url.partition("/")[0]
    match = rf"no store is known for {scheme}//; .*SQLite file, .*redis://, rediss://, unix://, \"memory:\""
    with pytest.raises(ArgumentValueError, match=match) as caught:
        uk.memory.Sessions(Gru(), store=url)
    assert "secret" not in str(caught.value)

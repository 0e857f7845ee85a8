"""A SQLite file as a store: private, whole, recognised, safe across forks; what goes wrong names the file."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import tempfile
import threading
from pathlib import Path

import pytest

import unikeras as uk
from unikeras.errors import ArgumentValueError, StoreError
from unikeras.memory import SQLiteStore
from unikeras.memory.stores import _sqlite_file


@pytest.fixture
def path(tmp_path):
    return tmp_path / "memory.db"


def fill(path, **sessions):
    with SQLiteStore(path) as store:
        store.write({name: (0, blob) for name, blob in sessions.items()})


def foreign(path, *statements):
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def refused(path, match):
    """The error names the file, and the file is as it was."""
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreError, match=match) as caught:
        SQLiteStore(path)
    assert str(path) in str(caught.value)
    assert isinstance(caught.value, OSError)
    assert (path.read_bytes() if path.is_file() else None) == before


def test_all_its_files_are_the_owners_alone(path):
    old = os.umask(0)
    try:
        with SQLiteStore(path) as store:
            store.write({"alice": (0, b"x")})
            store.backup(path.with_name("backup.db"))
            files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(old)
    names = ["memory.db", "memory.db-wal", "memory.db-shm", "backup.db"]
    assert files == dict.fromkeys(names, 0o600)


def test_the_file_is_private_before_sqlite_opens_it(path, monkeypatch):
    seen = []
    connect = sqlite3.connect

    def watching(file, *args, **options):
        seen.append(stat.S_IMODE(Path(file).stat().st_mode))
        return connect(file, *args, **options)

    monkeypatch.setattr(sqlite3, "connect", watching)
    SQLiteStore(path).close()
    assert seen == [0o600]


@pytest.mark.parametrize(("synchronous", "level"), [("full", 2), ("normal", 1)])
def test_the_pragmas(path, synchronous, level):
    with SQLiteStore(path, synchronous=synchronous, busy_timeout=7) as store:

        def pragma(name):
            return store._open_connection().execute(f"PRAGMA {name}").fetchone()[0]

        found = {
            name: pragma(name) for name in ("journal_mode", "synchronous", "secure_delete", "busy_timeout")
        }
    assert found == {
        "journal_mode": "wal",
        "synchronous": level,
        "secure_delete": 1,
        "busy_timeout": 7000,
    }


def test_wrong_options_are_named_at_once(path):
    with pytest.raises(ArgumentValueError, match=r"synchronous is .*busy_timeout is"):
        SQLiteStore(path, synchronous="off; DROP TABLE sessions", busy_timeout=-1)
    assert not path.exists()


@pytest.mark.parametrize("end", ["delete", "expire"])
def test_what_is_deleted_is_nowhere_in_the_files(path, end):
    secret = b"a secret of the session" * 300  # some pages
    with SQLiteStore(path) as store:
        store.write({"alice": (0, secret), "keeps": (0, b"to be kept")})
        store.write({"alice": (1, secret + b"!")})
        assert any(b"a secret" in file.read_bytes() for file in path.parent.iterdir())
        if end == "delete":
            store.delete(["alice"])
        else:
            assert store.expire(store.read(["alice"])["alice"].updated + 1e-6) == 2
        left = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"a secret" not in left
    assert b"alice" not in left


def test_garbage_is_refused(path):
    path.write_bytes(b"not a database at all" * 100)
    refused(path, "not a database .*give another path")


def test_a_cut_file_is_refused_or_named(path):
    fill(path, alice=b"x" * 100_000)
    path.write_bytes(path.read_bytes()[:6000])
    with pytest.raises(StoreError, match=str(path)):
        SQLiteStore(path).read(["alice"])


def test_a_file_of_another_program_is_refused(path):
    foreign(path, "CREATE TABLE theirs (x)", "INSERT INTO theirs VALUES (1)")
    refused(path, "another program")
    path.unlink()
    foreign(path, "PRAGMA application_id = 7")
    refused(path, "another program")
    path.unlink()
    foreign(path, "PRAGMA user_version = 1")
    refused(path, "another program")


def test_a_newer_file_is_refused(path):
    fill(path, alice=b"x")
    foreign(path, "PRAGMA user_version = 99", "PRAGMA wal_checkpoint(TRUNCATE)")
    refused(path, "version 99 .*knows 1.*update unikeras")


def test_a_folder_and_a_missing_folder_are_named(tmp_path):
    refused(tmp_path, "is a folder")
    refused(tmp_path / "no" / "memory.db", "no folder .*create it")
    assert not (tmp_path / "no").exists()


def test_an_empty_file_becomes_a_store(path):
    path.touch()
    fill(path, alice=b"x")
    assert "alice" in SQLiteStore(path)


def test_a_file_that_may_not_be_written_is_named():
    folder = Path(tempfile.mkdtemp())  # not pytest's own: another user has to get at it
    path = folder / "memory.db"
    fill(path, alice=b"x")
    path.chmod(0o444)
    folder.chmod(0o555)
    is_root = os.geteuid() == 0
    try:
        if is_root:  # root may write anything
            os.seteuid(65534)
        with pytest.raises(StoreError, match=str(path)):
            SQLiteStore(path)
        with pytest.raises(StoreError, match=r"other\.db"):
            SQLiteStore(folder / "other.db")
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o755)
    assert SQLiteStore(path).read(["alice"])["alice"].blob == b"x"
    shutil.rmtree(folder)


def test_a_write_into_a_read_only_database_is_named(path):
    with SQLiteStore(path) as store:
        store._open_connection().execute("PRAGMA query_only = ON")
        with pytest.raises(StoreError, match=r"cannot write .*memory.db.*readonly.*cannot be written to"):
            store.write({"alice": (0, b"x")})
        assert store.read(["alice"]) == {}


def test_a_full_disk_takes_nothing_that_was_there(path, run_script):
    """A limit on the size of files is a full disk, as SQLite sees it."""
    printed = run_script(f"""
        import resource
        from unikeras.errors import StoreError
        from unikeras.memory import SQLiteStore
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
        store, written = SQLiteStore({str(path)!r}), 0
        try:
            while True:
                store.write({{f"s{{written}}": (0, bytes([written]) * 20_000), f"t{{written}}": (0, b"with it")}})
                written += 1
        except StoreError as error:
            assert {str(path)!r} in str(error), error
            assert "nothing of this call was written" in str(error), error
        assert len(store) == 2 * written and written > 5, written
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        store.write({{f"s{{written}}": (0, b"there is room again")}})
        print(written)
    """)
    written = int(printed)
    with SQLiteStore(path) as store:
        assert len(store) == 2 * written + 1
        rows = store.read([f"s{n}" for n in range(written)])
        assert all(rows[f"s{n}"].blob == bytes([n]) * 20_000 for n in range(written))
        assert store._open_connection().execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_who_holds_the_file_too_long_is_an_error_and_a_moment_is_none(path):
    with SQLiteStore(path, busy_timeout=0.1) as hasty, SQLiteStore(path) as patient:
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"locked .*busy_timeout"):
            hasty.write({"alice": (0, b"x")})
        assert hasty.read(["alice"]) == {}  # readers wait for nobody
        later = threading.Timer(0.2, lambda: other.execute("COMMIT"))
        later.start()
        assert patient.write({"alice": (0, b"x")}) == {"alice": 1}
        later.join()
        other.close()


def test_who_opens_waits_for_who_creates(path):
    """SQLite itself does not wait where it must switch to write-ahead logging."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    later = threading.Timer(0.2, lambda: other.execute("COMMIT"))
    later.start()
    with SQLiteStore(path) as store:
        assert store.write({"alice": (0, b"x")})
    later.join()
    other.close()


def test_a_closed_store_says_so(path):
    store = SQLiteStore(path)
    store.close()
    with pytest.raises(StoreError, match="was closed"):
        store.read(["alice"])


def test_an_older_file_is_brought_up_to_date(path, monkeypatch):
    fill(path, alice=b"x")
    more = ("ALTER TABLE sessions ADD COLUMN note TEXT NOT NULL DEFAULT 'none'",)
    monkeypatch.setattr(_sqlite_file, "MIGRATIONS", [*_sqlite_file.MIGRATIONS, more])
    for _ in range(2):
        with SQLiteStore(path) as store:
            assert store.read(["alice"])["alice"].blob == b"x"
            row = store._open_connection().execute("SELECT note FROM sessions").fetchone()
            assert row == ("none",)
            assert store._open_connection().execute("PRAGMA user_version").fetchone() == (2,)


def test_a_step_that_fails_leaves_the_older_file(path, monkeypatch):
    fill(path, alice=b"x")
    good, bad = ("CREATE TABLE extra (x)",), ("CREATE TABLE more (x)", "no SQL")
    with monkeypatch.context() as patch:
        patch.setattr(_sqlite_file, "MIGRATIONS", [*_sqlite_file.MIGRATIONS, good, bad])
        with pytest.raises(StoreError, match=str(path)):
            SQLiteStore(path)
    with SQLiteStore(path) as store:
        assert store.read(["alice"])["alice"].blob == b"x"
        tables = store._open_connection().execute("SELECT count(*) FROM sqlite_schema WHERE type = 'table'")
        assert tables.fetchone() == (2,)


def test_many_may_create_it_at_once(path, run_script):
    printed = run_script(f"""
        import os, threading
        from unikeras.memory import SQLiteStore
        for n in range(30):
            path = f"{path}{{n}}"
            children = []
            for child in range(4):
                if (pid := os.fork()) == 0:
                    code = 1
                    try:
                        SQLiteStore(path).write({{f"s{{child}}": (0, b"x")}})
                        code = 0
                    finally:
                        os._exit(code)
                children.append(pid)
            assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
            assert len(SQLiteStore(path)) == 4
        print("all")
    """)
    assert printed.strip() == "all"


def test_a_backup_is_of_one_moment_while_others_write(path, tmp_path):
    """Each write puts one number into two sessions; a copy in which they differ would be of two moments."""
    copies, stop = [tmp_path / "copies" / f"{n}.db" for n in range(10)], threading.Event()
    with SQLiteStore(path, synchronous="normal") as store, SQLiteStore(path, synchronous="normal") as other:

        def write():
            n = 0
            while not stop.is_set():
                rows = other.read(["a", "z"])
                blob = str(n).encode() * 5000
                other.write({one: (rows[one].version if one in rows else 0, blob) for one in ("a", "z")})
                n += 1

        writer = threading.Thread(target=write)
        writer.start()
        for copy in copies:
            store.backup(copy)
        store.backup(copies[0])
        stop.set()
        writer.join()
    seen = set()
    for copy in copies:
        # No write-ahead mode in its header: a copy can be read where nothing can be written beside it.
        assert copy.read_bytes()[18:20] == b"\1\1"
        with SQLiteStore(copy) as backup:
            rows = backup.read(["a", "z"])
            assert len({row.blob for row in rows.values()}) <= 1
            assert len(rows) in (0, 2)
            seen |= {row.version for row in rows.values()}
    assert len(seen) > 1
    assert sorted(file.name for file in copies[0].parent.iterdir()) == sorted(copy.name for copy in copies)


def test_a_backup_over_a_store_in_use_is_refused(path, tmp_path):
    with SQLiteStore(path) as store, SQLiteStore(tmp_path / "other.db") as other:
        other.write({"bob": (0, b"x")})
        for taken in (path, other.path):
            with pytest.raises(ArgumentValueError, match="in use"):
                store.backup(taken)
        (tmp_path / "file").touch()
        with pytest.raises(StoreError, match="cannot write"):
            store.backup(tmp_path / "file" / "backup.db")
        assert "bob" in other


def test_a_backup_that_fails_leaves_the_one_before(path, tmp_path, monkeypatch):
    backup = tmp_path / "backup.db"
    with SQLiteStore(path) as store:
        store.write({"alice": (0, b"x")})
        store.backup(backup)
        before = backup.read_bytes()

        def fails(*_):
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(_sqlite_file, "_recognize", fails)
        with pytest.raises(StoreError, match=r"backup\.db|memory\.db"):
            store.backup(backup)
    assert backup.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["backup.db", "memory.db"]


def test_it_works_on_both_sides_of_a_fork(path, run_script):
    """The parent closes, and so would take the log away under a child that had inherited its connection."""
    printed = run_script(f"""
        import os, threading, time
        from unikeras.memory import SQLiteStore
        store, stop = SQLiteStore({str(path)!r}), threading.Event()
        store.write({{"parent": (0, b"x")}})
        def work():
            n = 0
            while not stop.is_set():
                store.write({{f"thread {{n}}": (0, b"x")}})
                n += 1
        thread = threading.Thread(target=work)
        thread.start()
        children = []
        for n in range(5):
            if (pid := os.fork()) == 0:
                code = 1
                try:
                    for turn in range(20):
                        assert store.write({{f"child {{n}} {{turn}}": (0, b"x")}})
                        time.sleep(0.005)
                    assert "parent" in store
                    code = 0
                finally:
                    os._exit(code)
            children.append(pid)
        stop.set()
        thread.join()
        store.close()
        assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
        names = list(SQLiteStore({str(path)!r}).ids())
        print(sum(name.startswith("child") for name in names))
    """)
    assert printed.strip() == "100"


def test_a_store_that_nobody_holds_lets_go_of_its_file(path):
    store = SQLiteStore(path)
    store.write({"alice": (0, b"x")})
    assert path.with_name("memory.db-wal").exists()
    del store
    assert not path.with_name("memory.db-wal").exists()


@pytest.mark.filterwarnings("ignore:os.fork.. was called:RuntimeWarning")  # JAX; the child runs nothing of it
def test_the_store_stays_where_it_was_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with SQLiteStore("memory.db") as store:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        if (pid := os.fork()) == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        store.write({"alice": (0, b"x")})
    assert uk.memory.SQLiteStore(tmp_path / "memory.db").read(["alice"])
    assert not (tmp_path / "elsewhere" / "memory.db").exists()

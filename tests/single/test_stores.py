"""The laws of a store, the same ones for each: unikeras' own and a user's."""

from __future__ import annotations

import random
import sys
import threading
import time

import pytest

import unikeras as uk

IDS = {
    "plain": "alice",
    "empty": "",
    "nul": "a\0b",
    "long": "x" * 10_000,
    "emoji": "👩‍👩‍👧",
    "composed": "é",
    "decomposed": "e\N{COMBINING ACUTE ACCENT}",
    "quotes": 'it\'s "quoted" `so`',
    "sql": "'; DROP TABLE sessions; --",
    "glob": "*?[a-z]%_\\",
    "lone surrogate": "\ud800",
    "surrogate pair": "\ud83d\ude00",
    "emoji of that pair": "\U0001f600",
    "newline": "a\r\nb",
    "path": "../../etc/passwd",
    "largest": "\U0010ffff",
}


@pytest.fixture(scope="module")
def redis_server():
    from helpers.stores import RedisServer

    server = RedisServer()
    yield server
    server.stop()


KINDS = ["memory", "sqlite", "sqlite, normal", "redis", "user's"]


@pytest.fixture(params=KINDS)
def reopen(request, tmp_path):
    """Return a function that opens the same store once more."""
    opened = []
    if request.param == "redis":
        url, prefix = request.getfixturevalue("redis_server").url, str(tmp_path)

        def new():
            return uk.memory.RedisStore(url, prefix=prefix)
    elif request.param.startswith("sqlite"):
        synchronous = "normal" if "normal" in request.param else "full"

        def new():
            return uk.memory.SQLiteStore(tmp_path / "memory.db", synchronous=synchronous)
    else:
        from helpers.stores import UsersStore

        only = uk.memory.MemoryStore() if request.param == "memory" else UsersStore()

        def new():
            return only

    def reopen():
        opened.append(new())
        return opened[-1]

    yield reopen
    for store in opened:
        store.close()


@pytest.fixture
def store(reopen):
    return reopen()


def version(store, session):
    row = store.read([session]).get(session)
    return row.version if row else 0


def put(store, session, blob=b"blob"):
    """Write a session whatever its version, and return its new one."""
    written = store.write({session: (version(store, session), blob)})
    return written[session]


def test_an_empty_store(store):
    assert store.read(["alice"]) == {}
    assert store.read([]) == {}
    assert store.write({}) == {}
    store.delete([])
    store.delete(["alice"])
    assert list(store.ids()) == []
    assert len(store) == 0
    assert "alice" not in store
    assert store.expire(time.time() + 1) == 0


@pytest.mark.parametrize("blob", [b"", b"\0", bytes(range(256)) * 10, b"x" * 3_000_000], ids=len)
def test_a_blob_comes_back_as_it_was(reopen, blob):
    before = time.time()
    assert reopen().write({"alice": (0, blob)}) == {"alice": version(reopen(), "alice")}
    row = reopen().read(["alice", "bob"])["alice"]
    assert row.blob == blob
    assert isinstance(row.blob, bytes)
    assert before - 0.01 <= row.updated <= time.time() + 0.01
    assert row.version > 0


def test_a_write_with_another_version_is_lost_and_the_rest_written(store):
    first = put(store, "alice", b"1")
    second = put(store, "alice", b"2")
    assert first < second
    rows = {"alice": (first, b"stale"), "bob": (0, b"new"), "carol": (7, b"never was")}
    assert set(store.write(rows)) == {"bob"}
    assert store.write({"alice": (0, b"new"), "bob": (0, b"new")}) == {}
    found = store.read(["alice", "bob", "carol"])
    assert {name: row.blob for name, row in found.items()} == {"alice": b"2", "bob": b"new"}


@pytest.mark.parametrize("end", ["delete", "expire"])
def test_versions_grow_over_the_end_of_a_session(reopen, end):
    store = reopen()
    last = [put(store, "alice", str(n).encode()) for n in range(5)][-1]
    put(store, "bob")
    for round_ in range(3):
        if end == "delete":
            reopen().delete(["alice", "bob"])
        else:
            assert reopen().expire(time.time() + 1) == (2 if round_ == 0 else 1)
        assert "alice" not in store
        again = put(reopen(), "alice")
        assert again > last
        # Who still holds the version from before the end must not win.
        assert store.write({"alice": (last, b"late")}) == {}
        last = again


@pytest.mark.parametrize("name", IDS)
def test_any_text_is_an_id(store, name):
    for other in IDS.values():
        put(store, other, other.encode("utf-8", "surrogatepass"))
    session = IDS[name]
    assert session in store
    assert store.read([session])[session].blob == session.encode("utf-8", "surrogatepass")
    assert sorted(store.ids()) == sorted(IDS.values())
    store.delete([session])
    assert sorted(store.ids()) == sorted(set(IDS.values()) - {session})


@pytest.mark.parametrize("reopen", KINDS[:-1], indirect=True)  # a user's is given what Sessions has checked
def test_other_things_are_no_ids(store):
    for other in (1, None, b"alice"):
        for call in (
            lambda other=other: store.read([other]),
            lambda other=other: store.write({other: (0, b"")}),
            lambda other=other: store.delete([other]),
        ):
            with pytest.raises(uk.errors.ArgumentError, match="id is a str"):
                call()
        assert other not in store
    assert len(store) == 0


def test_ids_come_once_each_however_many(store):
    names = [f"session {n}" for n in range(2500)]
    store.write(dict.fromkeys(names, (0, b"x")))
    assert len(store) == 2500
    listed = store.ids()
    some = [next(listed) for _ in range(10)]
    gone = next(name for name in reversed(names) if name not in some)
    store.delete([gone])  # others write while one lists
    put(store, some[0])
    rest = list(listed)
    assert len(set(some + rest)) == len(some + rest)
    assert set(names) - {gone} <= set(some + rest) <= set(names)


def test_expire_takes_the_old_ones_alone(store):
    store.write(dict.fromkeys(("old", "touched"), (0, b"x")))
    time.sleep(0.02)
    border = time.time()
    time.sleep(0.02)
    put(store, "touched")
    put(store, "new")
    assert store.expire(border) == 1
    assert sorted(store.ids()) == ["new", "touched"]
    assert store.expire(border) == 0


def test_random_operations_agree_with_a_dict(reopen):
    rng, handles, truth, highest = random.Random(5), [reopen(), reopen()], {}, {}
    names = [f"s{n}" for n in range(6)] + ["", "\0"]
    for step in range(400):
        store, chosen = rng.choice(handles), rng.sample(names, rng.randint(1, 4))
        if rng.random() < 0.15:
            store.delete(chosen)
            for name in chosen:
                truth.pop(name, None)
            continue
        blob = str(step).encode()
        rows = {name: (truth.get(name, (0,))[0] + rng.choice([0, 0, 0, 1, -1]), blob) for name in chosen}
        new = store.write(rows)
        fitting = {name for name, (expected, _) in rows.items() if expected == truth.get(name, (0,))[0]}
        assert set(new) == fitting
        for name in fitting:
            assert new[name] > highest.get(name, 0)
            truth[name], highest[name] = (new[name], blob), new[name]
        found = rng.choice(handles).read(names)
        assert {name: (row.version, row.blob) for name, row in found.items()} == truth
        assert sorted(handles[0].ids()) == sorted(truth)


def test_no_thread_loses_a_write(reopen, request):
    """Each thread adds one to counters of all; a lost update would be missing from the sum."""
    switch = sys.getswitchinterval()
    request.addfinalizer(lambda: sys.setswitchinterval(switch))
    sys.setswitchinterval(1e-6)  # threads change places in the middle of a line
    shared, failures = reopen(), []
    names = ["a", "b", "c"]

    def work(store, seed):
        rng = random.Random(seed)
        try:
            for _ in range(60):
                todo = {*rng.sample(names, 2)}
                while todo:
                    rows = store.read(todo)
                    todo -= set(
                        store.write(
                            {
                                one: (rows[one].version, str(int(rows[one].blob) + 1).encode())
                                if one in rows
                                else (0, b"1")
                                for one in todo
                            }
                        )
                    )
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(shared if n % 2 else reopen(), n)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sum(int(row.blob) for row in shared.read(names).values()) == 6 * 60 * 2


def test_closing_twice_is_closing(reopen):
    with reopen() as store:
        put(store, "alice")
    store.close()

"""What every store of sessions must do."""

from __future__ import annotations

import random
import sys
import threading
import time

from unikeras.memory import Store

_IDS = (
    "alice",
    "",
    "a\0b",
    "x" * 10_000,
    "👩‍👩‍👧",
    "é",
    "e\N{COMBINING ACUTE ACCENT}",
    'it\'s "quoted" `so`',
    "'; DROP TABLE sessions; --",
    "*?[a-z]%_\\",
    "\ud800",
    "\ud83d\ude00",
    "\U0001f600",
    "a\r\nb",
    "../../etc/passwd",
    "\U0010ffff",
)


class StoreContract:
    """Tests that any `uk.memory.Store` must pass: subclass it in a test file and say how to make the store.

    pytest collects the subclass if its name begins with `Test`, and makes a new instance of it for each test. Such a
    class has no `__init__`: prepare the data in `setup_method`, or in an autouse fixture. To see values in failed
    assertions, put `pytest.register_assert_rewrite("unikeras.testing")` in `conftest.py`.

    Example:
        >>> import unikeras as uk
        >>> class TestMyStore(uk.testing.StoreContract):
        ...     def setup_method(self):
        ...         self.store = uk.memory.MemoryStore()
        ...
        ...     def make_store(self):
        ...         return self.store
        >>> test = TestMyStore()
        >>> test.setup_method()
        >>> test.test_a_blob_comes_back_unchanged()
    """

    def make_store(self) -> Store:
        """Return a store; each call within one test opens the same data, which is empty when the test begins.

        Returns:
            The store under test.

        Raises:
            NotImplementedError: the subclass does not define it.
        """
        raise NotImplementedError(f"{type(self).__name__} must define make_store()")

    def open_store(self) -> Store:
        """Return `make_store()`, closed when the test ends.

        Returns:
            The store under test.
        """
        store = self.make_store()
        vars(self).setdefault("_opened", []).append(store)
        return store

    def teardown_method(self) -> None:
        """Close what the test opened; pytest calls it."""
        for store in vars(self).pop("_opened", []):
            store.close()

    def test_an_empty_store_holds_nothing(self) -> None:
        store = self.open_store()
        assert store.read(["alice"]) == {}
        assert store.read([]) == {}
        assert store.write({}) == {}
        store.delete([])
        store.delete(["alice"])
        assert list(store.ids()) == []
        assert len(store) == 0
        assert "alice" not in store
        assert store.expire(time.time() + 1) == 0

    def test_a_blob_comes_back_unchanged(self) -> None:
        for number, blob in enumerate([b"", b"\0", bytes(range(256)) * 10, b"x" * 3_000_000]):
            session, before = f"session {number}", time.time()
            written = self.open_store().write({session: (0, blob)})
            row = self.open_store().read([session, "bob"])[session]
            assert written == {session: row.version}
            assert row.blob == blob
            assert isinstance(row.blob, bytes)
            assert before - 0.01 <= row.updated <= time.time() + 0.01
            assert row.version > 0

    def test_a_write_with_another_version_is_refused_and_the_rest_written(self) -> None:
        store = self.open_store()
        first, second = _put(store, "alice", b"1"), _put(store, "alice", b"2")
        assert first < second
        rows = {"alice": (first, b"stale"), "bob": (0, b"new"), "carol": (7, b"never was")}
        assert set(store.write(rows)) == {"bob"}
        assert store.write({"alice": (0, b"new"), "bob": (0, b"new")}) == {}
        found = store.read(["alice", "bob", "carol"])
        assert {name: row.blob for name, row in found.items()} == {"alice": b"2", "bob": b"new"}

    def test_versions_grow_after_delete(self) -> None:
        self._end_three_times(lambda: self.open_store().delete(["alice"]))

    def test_versions_grow_after_expire(self) -> None:
        def expire() -> None:
            assert self.open_store().expire(time.time() + 1) == 1

        self._end_three_times(expire)

    def _end_three_times(self, end: object) -> None:
        assert callable(end)
        store = self.open_store()
        last = [_put(store, "alice", str(number).encode()) for number in range(5)][-1]
        for _ in range(3):
            end()
            assert "alice" not in store
            again = _put(self.open_store(), "alice")
            assert again > last
            # A writer that still holds the version from before the end must not win.
            assert store.write({"alice": (last, b"late")}) == {}
            last = again

    def test_any_text_is_an_id(self) -> None:
        store = self.open_store()
        for session in _IDS:
            _put(store, session, _bytes(session))
        assert sorted(store.ids()) == sorted(_IDS)
        left = set(_IDS)
        for session in _IDS:
            assert session in store
            assert store.read([session])[session].blob == _bytes(session)
            store.delete([session])
            left.discard(session)
            assert sorted(store.ids()) == sorted(left)

    def test_ids_yields_each_once(self) -> None:
        store = self.open_store()
        names = [f"session {number}" for number in range(2500)]
        store.write(dict.fromkeys(names, (0, b"x")))
        assert len(store) == 2500
        listed = store.ids()
        some = [next(listed) for _ in range(10)]
        gone = next(name for name in reversed(names) if name not in some)
        store.delete([gone])  # others write while one lists
        _put(store, some[0])
        every = some + list(listed)
        assert len(set(every)) == len(every)
        assert set(names) - {gone} <= set(every) <= set(names)

    def test_expire_deletes_the_old_ones_alone(self) -> None:
        store = self.open_store()
        store.write(dict.fromkeys(("old", "touched"), (0, b"x")))
        time.sleep(0.02)
        border = time.time()
        time.sleep(0.02)
        _put(store, "touched")
        _put(store, "new")
        assert store.expire(border) == 1
        assert sorted(store.ids()) == ["new", "touched"]
        assert store.expire(border) == 0

    def test_random_operations_agree_with_a_dict(self) -> None:
        rng, handles = random.Random(5), [self.open_store(), self.open_store()]
        truth: dict[str, tuple[int, bytes]] = {}
        highest: dict[str, int] = {}
        names = [f"s{number}" for number in range(6)] + ["", "\0"]
        for step in range(400):
            store, chosen = rng.choice(handles), rng.sample(names, rng.randint(1, 4))
            if rng.random() < 0.15:
                store.delete(chosen)
                for name in chosen:
                    truth.pop(name, None)
                continue
            blob, held = str(step).encode(), {name: truth.get(name, (0, b""))[0] for name in chosen}
            rows = {name: (version + rng.choice([0, 0, 0, 1, -1]), blob) for name, version in held.items()}
            new = store.write(rows)
            assert set(new) == {name for name, (expected, _) in rows.items() if expected == held[name]}
            for name, version in new.items():
                assert version > highest.get(name, 0)
                truth[name], highest[name] = (version, blob), version
            found = rng.choice(handles).read(names)
            assert {name: (row.version, row.blob) for name, row in found.items()} == truth
            assert sorted(handles[0].ids()) == sorted(truth)

    def test_no_thread_loses_a_write(self) -> None:
        """Each thread adds one to shared counters; a lost update is missing from the sum."""
        shared, names = self.open_store(), ["a", "b", "c"]
        failures: list[BaseException] = []

        def work(store: Store, seed: int) -> None:
            rng = random.Random(seed)
            try:
                for _ in range(60):
                    _count(store, rng.sample(names, 2))
            except BaseException as error:
                failures.append(error)

        stores = [shared if number % 2 else self.open_store() for number in range(6)]
        threads = [threading.Thread(target=work, args=(store, seed)) for seed, store in enumerate(stores)]
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)  # threads change places in the middle of a line
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(interval)
        assert not failures
        assert sum(int(row.blob) for row in shared.read(names).values()) == 6 * 60 * 2

    def test_closing_twice_is_no_error(self) -> None:
        with self.open_store() as store:
            _put(store, "alice")
        store.close()


def _bytes(session: str) -> bytes:
    return session.encode("utf-8", "surrogatepass")


def _put(store: Store, session: str, blob: bytes = b"blob") -> int:
    """Write a session whatever its version, and return its new one."""
    row = store.read([session]).get(session)
    return store.write({session: (row.version if row else 0, blob)})[session]


def _count(store: Store, names: list[str]) -> None:
    """Add one to the counter of each session, as often as it takes."""
    todo = {*names}
    while todo:
        rows = store.read(todo)
        counts = {one: int(rows[one].blob) + 1 if one in rows else 1 for one in todo}
        versions = {one: rows[one].version if one in rows else 0 for one in todo}
        todo -= set(store.write({one: (versions[one], str(counts[one]).encode()) for one in todo}))

"""The contract of a store, for each kind: unikeras' own and a user's."""

from __future__ import annotations

import pytest
from helpers.stores import RedisServer, UsersStore

import unikeras as uk
from unikeras.memory import MemoryStore, RedisStore, SQLiteStore
from unikeras.testing import StoreContract


class OwnStoreContract(StoreContract):
    """What holds beyond the contract for the stores of the package: they check ids themselves."""

    def test_other_things_are_no_ids(self):
        store = self.open_store()
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


class TestMemoryStore(OwnStoreContract):
    @pytest.fixture(autouse=True)
    def _make(self):
        self.only = MemoryStore()

    def make_store(self):
        return self.only


class TestSQLiteStore(OwnStoreContract):
    synchronous = "full"

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path):
        self.path = tmp_path / "memory.db"

    def make_store(self):
        return SQLiteStore(self.path, synchronous=self.synchronous)


class TestSQLiteStoreNormal(TestSQLiteStore):
    synchronous = "normal"


@pytest.fixture(scope="module")
def redis_server():
    server = RedisServer()
    yield server
    server.stop()


class TestRedisStore(OwnStoreContract):
    @pytest.fixture(autouse=True)
    def _place(self, redis_server, tmp_path):
        self.url, self.prefix = redis_server.url, str(tmp_path)

    def make_store(self):
        return RedisStore(self.url, prefix=self.prefix)


class TestUsersStore(StoreContract):
    @pytest.fixture(autouse=True)
    def _make(self):
        self.only = UsersStore()

    def make_store(self):
        return self.only


def test_a_contract_without_a_store_says_what_to_define():
    with pytest.raises(NotImplementedError, match="make_store"):
        StoreContract().open_store()

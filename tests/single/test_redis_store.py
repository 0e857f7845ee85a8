"""What is Redis' own in a store: a prefix, a server that goes away, a library that is not there."""

from __future__ import annotations

import time

import pytest
from helpers.recurrence import Gru, assert_same, random_turns
from helpers.stores import RedisServer

from unikeras._base import optional
from unikeras.errors import ArgumentError, ArgumentValueError, MissingDependency, StoreError
from unikeras.memory import RedisStore, Sessions


@pytest.fixture(scope="module")
def shared():
    server = RedisServer()
    yield server
    server.stop()


@pytest.fixture
def own_server():
    server = RedisServer()
    yield server
    server.stop()


def test_sessions_in_redis(shared):
    model, turns = Gru(), random_turns(3)
    for turn, expected in zip(turns, model.truth(*turns), strict=True):
        with Sessions(model, store=shared.url) as chats:  # the URL is enough
            assert isinstance(chats.store, RedisStore)
            assert_same(chats.step("alice", turn), expected)


def test_prefixes_are_worlds_of_their_own(shared):
    stores = [RedisStore(shared.url, prefix=prefix) for prefix in ("a:", "a:b", "*", "{x}", "")]
    for number, store in enumerate(stores):
        assert store.write({"alice": (0, str(number).encode()), "b": (0, b"x")})
    stores[0].delete(["b"])
    assert stores[1].expire(time.time() + 1) == 2
    for number, store in enumerate(stores):
        blob = store.read(["alice"]).get("alice")
        assert (blob and blob.blob) == (None if number == 1 else str(number).encode())
        assert len(store) == {0: 1, 1: 0}.get(number, 2)


def test_nothing_is_left_of_what_is_deleted_but_one_number(own_server):
    store = RedisStore(own_server.url)
    store.write(dict.fromkeys([f"s{n}" for n in range(10)], (0, b"x")))
    store.delete([f"s{n}" for n in range(5)])
    assert store.expire(time.time() + 1) == 5
    assert store._client.keys() == [b"{unikeras:}floor"]


def test_a_server_that_goes_away_is_named_and_found_again(own_server):
    store = RedisStore(own_server.url)
    store.write({"alice": (0, b"x")})
    own_server.process.kill()
    own_server.process.wait()
    for call in (
        lambda: store.read(["alice"]),
        lambda: store.write({"alice": (1, b"y")}),
        lambda: store.delete(["alice"]),
        lambda: list(store.ids()),
        lambda: store.expire(0),
        lambda: len(store),
        lambda: "alice" in store,
        lambda: RedisStore(own_server.url),
    ):
        with pytest.raises(StoreError, match=r"the store at unix://"):
            call()


def test_a_write_is_never_sent_twice(shared, monkeypatch):
    """Sent again after its answer got lost, it would look like a race that somebody else won."""
    redis = pytest.importorskip("redis")
    store = RedisStore(shared.url, prefix="once")
    first = store.write({"alice": (0, b"x")})["alice"]
    answer, sent = redis.connection.UnixDomainSocketConnection.read_response, []

    def loses_the_answer(*args, **options):
        answer(*args, **options)
        sent.append(1)
        raise redis.ConnectionError("the answer got lost")

    with monkeypatch.context() as patch:
        patch.setattr(redis.connection.UnixDomainSocketConnection, "read_response", loses_the_answer)
        with pytest.raises(StoreError, match="the answer got lost"):
            store.write({"alice": (first, b"y")})
    assert len(sent) == 1
    row = store.read(["alice"])["alice"]
    assert (row.version, row.blob) == (first + 1, b"y")


def test_a_password_is_not_in_messages():
    with pytest.raises(StoreError) as caught:
        RedisStore("redis://somebody:s3cret@localhost:1/0")
    assert "s3cret" not in str(caught.value)
    assert "localhost:1/0" in str(caught.value)


def test_wrong_arguments_are_named():
    with pytest.raises(ArgumentValueError, match="begins with redis://"):
        RedisStore("localhost:6379")
    with pytest.raises(ArgumentError, match="text"):
        RedisStore("redis://localhost", prefix=1)
    with pytest.raises(StoreError, match="cannot open"):
        RedisStore("redis://localhost:no port/0")


def test_without_the_library_the_pip_line_is_told(monkeypatch):
    monkeypatch.setattr(optional, "is_installed", lambda module: module != "redis")
    with pytest.raises(MissingDependency, match=r"a store in Redis needs redis.*pip install redis"):
        Sessions(Gru(), store="redis://localhost:6379/0")

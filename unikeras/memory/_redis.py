"""A store in a Redis server, for processes of any number of machines."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Collection, Iterator, Mapping

from unikeras import _optional
from unikeras.errors import ArgumentError, ArgumentValueError, StoreError
from unikeras.memory._store import Row, Store, decode, encode

SCHEMES = ("redis://", "rediss://", "unix://")

_PAGE = 1000

# A script runs alone in the server, so each is one step that nobody comes between. KEYS: the floor (no version of
# a session that is gone is higher), the names (a sorted set, so that they can be listed in order), the rows.
_WRITE = """
local versions = {}
for i = 3, #KEYS do
  local expected, name, blob = ARGV[3 * i - 7], ARGV[3 * i - 6], ARGV[3 * i - 5]
  local version = redis.call('HGET', KEYS[i], 'version') or '0'
  if version == expected then
    if version == '0' then version = redis.call('GET', KEYS[1]) or '0' end
    version = string.format('%.0f', tonumber(version) + 1)
    redis.call('HSET', KEYS[i], 'version', version, 'updated', ARGV[1], 'blob', blob)
    redis.call('ZADD', KEYS[2], 0, name)
    versions[i - 2] = version
  else
    versions[i - 2] = '0'
  end
end
return versions
"""
# ARGV: the time before which a row goes, then the names.
_DELETE = """
local count = 0
for i = 3, #KEYS do
  local row = redis.call('HMGET', KEYS[i], 'version', 'updated')
  if row[1] and tonumber(row[2]) < tonumber(ARGV[1]) then
    if tonumber(row[1]) > tonumber(redis.call('GET', KEYS[1]) or '0') then
      redis.call('SET', KEYS[1], row[1])
    end
    redis.call('DEL', KEYS[i])
    redis.call('ZREM', KEYS[2], ARGV[i - 1])
    count = count + 1
  end
end
return count
"""


class RedisStore(Store):
    """Keeps sessions in a Redis server; how durable they are is the server's `appendonly` setting.

    Args:
        url: `redis://[user:password@]host:port/db`, `rediss://` for TLS, `unix:///path` for a socket.
        prefix: with which each key begins, so that several applications can share a database.

    Raises:
        MissingDependency: the redis library is not installed.
        StoreError: no server answers there.

    Example:
        >>> import unikeras as uk
        >>> store = uk.memory.RedisStore("redis://localhost:6379/0", prefix="chats:")  # doctest: +SKIP
        >>> store.write({"alice": (0, b"state")})  # doctest: +SKIP
        {'alice': 1}
    """

    def __init__(self, url: str, *, prefix: str = "unikeras:") -> None:
        if not isinstance(url, str) or not isinstance(prefix, str):
            raise ArgumentError(
                f"url and prefix are text; received {type(url).__name__}, {type(prefix).__name__}"
            )
        if not url.startswith(SCHEMES):
            raise ArgumentValueError(
                f"the URL of a Redis server begins with {', '.join(SCHEMES)}; received {url!r}"
            )
        redis = _optional.require("redis", "redis", "a store in Redis")
        self._errors = redis.RedisError
        self._where = re.sub(r"//[^/@]*@", "//", url)  # a password is not for messages
        # All keys in one slot ({...}), as a script needs in a cluster.
        self._prefix = b"{" + encode(prefix) + b"}"
        with self._named("open"):
            # A write whose answer got lost must not be sent again: it would look like a lost race.
            never = _optional.require("redis.retry", "redis", "a store in Redis").Retry(
                _optional.require("redis.backoff", "redis", "a store in Redis").NoBackoff(), 0
            )
            self._client = redis.Redis.from_url(url, retry=never)
            self._client.ping()
        self._write = self._client.register_script(_WRITE)
        self._delete = self._client.register_script(_DELETE)

    def read(self, sessions: Collection[str]) -> dict[str, Row]:
        """Return the rows of those sessions that there are."""
        keys = [self._key(session) for session in sessions]
        with self._named("read"), self._client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.hmget(key, "version", "blob", "updated")
            found = pipeline.execute()
        return {
            session: Row(int(version), blob, float(updated))
            for session, (version, blob, updated) in zip(sessions, found, strict=True)
            if version is not None
        }

    def write(self, rows: Mapping[str, tuple[int, bytes]]) -> dict[str, int]:
        """Write each blob whose session still has the version given with it, in one step.

        A `StoreError` where the connection broke leaves open whether the server wrote them.
        """
        keys = [self._key(session) for session in rows]
        values = [part for one, (version, blob) in rows.items() for part in (version, encode(one), blob)]
        with self._named("write"):
            new = self._write([*self._common(), *keys], [repr(time.time()), *values]) if rows else []
        versions = dict(zip(rows, map(int, new), strict=True))
        return {session: version for session, version in versions.items() if version}

    def delete(self, sessions: Collection[str]) -> None:
        """Delete those of the sessions that there are."""
        self._delete_before("1e300", [encode(session) for session in sessions])

    def ids(self) -> Iterator[str]:
        """Yield the ids in order, a page at a time."""
        yield from (decode(name) for page in self._pages() for name in page)

    def expire(self, before: float) -> int:
        """Delete the sessions last written before a time, and return how many."""
        return sum(self._delete_before(repr(float(before)), page) for page in self._pages())

    def close(self) -> None:
        """Close the connections; a call after this opens new ones."""
        self._client.close()

    def __len__(self) -> int:
        with self._named("read"):
            return int(self._client.zcard(self._common()[1]))

    def __contains__(self, session: object) -> bool:
        if not isinstance(session, str):
            return False
        with self._named("read"):
            return bool(self._client.exists(self._key(session)))

    def _key(self, session: str) -> bytes:
        return self._prefix + b"session:" + encode(session)

    def _common(self) -> tuple[bytes, bytes]:
        return self._prefix + b"floor", self._prefix + b"names"

    def _pages(self) -> Iterator[list[bytes]]:
        after = b"-"
        while page := self._names_after(after):
            yield page
            after = b"(" + page[-1]

    def _names_after(self, after: bytes) -> list[bytes]:
        with self._named("read"):
            return list(self._client.zrangebylex(self._common()[1], after, b"+", start=0, num=_PAGE))

    def _delete_before(self, time: str, names: list[bytes]) -> int:
        if not names:
            return 0
        keys = [self._prefix + b"session:" + name for name in names]
        with self._named("write"):
            return int(self._delete([*self._common(), *keys], [time, *names]))

    @contextlib.contextmanager
    def _named(self, doing: str) -> Iterator[None]:
        """Turn what the library raises into a `StoreError` that names the server."""
        try:
            yield
        except (self._errors, OSError, ValueError) as error:
            raise StoreError(f"cannot {doing} the store at {self._where}: {error}") from error

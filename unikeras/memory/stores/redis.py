"""A store in a Redis server, for processes of any number of machines."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from unikeras._base import optional
from unikeras.errors import ArgumentError, ArgumentValueError, StoreError
from unikeras.memory.stores._versions import BROKEN, LARGEST, anew
from unikeras.memory.stores.base import Row, Store, decode, encode

SCHEMES = ("redis://", "rediss://", "unix://")

_PAGE = 1000

# A script runs alone in the server, so each is one step that nobody comes between. KEYS: the floor (no version of
# a deleted session is higher), the names (a sorted set, so that they can be listed in order), the rows. A version
# that is no number is treated as `_versions` says: it reads as ARGV[1], and a write replaces it by ARGV[2].
_SOUND = """
local function sound(text, smallest)
  local number = text and string.match(text, '^%d+$') and tonumber(text)
  return number and number >= smallest and number < tonumber(ARGV[1]) and number
end
local function floor()
  local text = redis.call('GET', KEYS[1])
  local number = text and sound(text, 0)
  if text and (not number or number + 1 == tonumber(ARGV[1])) then
    number = tonumber(ARGV[2])
  end
  return number or 0
end
"""
_WRITE = (
    _SOUND
    + """
local versions = {}
for i = 3, #KEYS do
  local expected, name, blob = ARGV[3 * i - 5], ARGV[3 * i - 4], ARGV[3 * i - 3]
  local row = redis.call('HMGET', KEYS[i], 'version', 'blob', 'updated')
  local found = row[1] or row[2] or row[3]
  local version = sound(row[1], 1)
  if (found and (version and string.format('%.0f', version) or ARGV[1]) or '0') == expected then
    if not found then
      version = floor()
    end
    version = string.format('%.0f', version and version + 1 or tonumber(ARGV[2]))
    redis.call('HSET', KEYS[i], 'version', version, 'updated', ARGV[3], 'blob', blob)
    redis.call('ZADD', KEYS[2], 0, name)
    versions[i - 2] = version
  else
    versions[i - 2] = '0'
  end
end
return versions
"""
)
# ARGV[3]: the time before which a row goes, one that does not say when it was written too; then the names.
_DELETE = (
    _SOUND
    + """
local count = 0
for i = 3, #KEYS do
  local kind = redis.call('TYPE', KEYS[i]).ok
  local row = kind == 'hash' and redis.call('HMGET', KEYS[i], 'version', 'updated') or {}
  local found = kind ~= 'none'
  if found and (tonumber(row[2] or '') or 0) < tonumber(ARGV[3]) then
    local version = sound(row[1], 1)
    if version and version > floor() then
      redis.call('SET', KEYS[1], row[1])
    end
    redis.call('DEL', KEYS[i])
    count = count + 1
    found = false
  end
  if not found then
    redis.call('ZREM', KEYS[2], ARGV[i + 1])
  end
end
return count
"""
)


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
        redis = optional.require("redis", "redis", "a store in Redis")
        self._errors = redis.RedisError
        self._where = re.sub(r"//[^/@]*@", "//", url)  # a password is not for messages
        # All keys in one slot ({...}), as a script needs in a cluster.
        self._prefix = b"{" + encode(prefix) + b"}"
        with self._wrap_errors("open"):
            # A write whose answer got lost must not be sent again: it would look like a lost race.
            never = optional.require("redis.retry", "redis", "a store in Redis").Retry(
                optional.require("redis.backoff", "redis", "a store in Redis").NoBackoff(), 0
            )
            self._client = redis.Redis.from_url(url, retry=never)
            self._client.ping()
        self._write = self._client.register_script(_WRITE)
        self._delete = self._client.register_script(_DELETE)

    def read(self, sessions: Collection[str]) -> dict[str, Row]:
        """Return the rows of the existing sessions."""
        keys = [self._key(session) for session in sessions]
        with self._wrap_errors("read"), self._client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.hmget(key, "version", "blob", "updated")
            found = pipeline.execute()
        rows = zip(sessions, found, strict=True)
        return {session: _row(*parts) for session, parts in rows if parts != [None] * 3}

    def write(self, rows: Mapping[str, tuple[int, bytes]]) -> dict[str, int]:
        """Write each blob whose session still has the version given with it, in one step.

        A `StoreError` where the connection broke leaves open whether the server wrote them.
        """
        keys = [self._key(session) for session in rows]
        values = [part for one, (version, blob) in rows.items() for part in (version, encode(one), blob)]
        with self._wrap_errors("write"):
            new = self._run(self._write, keys, [repr(time.time()), *values]) if rows else []
        versions = dict(zip(rows, map(int, new), strict=True))
        return {session: version for session, version in versions.items() if version}

    def delete(self, sessions: Collection[str]) -> None:
        """Delete the sessions; unknown ids are ignored."""
        self._delete_before("1e300", [encode(session) for session in sessions])

    def ids(self) -> Iterator[str]:
        """Yield the ids in order, a page at a time."""
        for page in self._pages():
            with self._wrap_errors("read"):
                names = [decode(name) for name in page]
            yield from names

    def expire(self, before: float) -> int:
        """Delete the sessions last written before a time, and return how many."""
        return sum(self._delete_before(repr(float(before)), page) for page in self._pages())

    def close(self) -> None:
        """Close the connections; a call after this opens new ones."""
        self._client.close()

    def __len__(self) -> int:
        with self._wrap_errors("read"):
            return int(self._client.zcard(self._common()[1]))

    def __contains__(self, session: object) -> bool:
        if not isinstance(session, str):
            return False
        with self._wrap_errors("read"):
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
        with self._wrap_errors("read"):
            return list(self._client.zrangebylex(self._common()[1], after, b"+", start=0, num=_PAGE))

    def _delete_before(self, time: str, names: list[bytes]) -> int:
        if not names:
            return 0
        keys = [self._prefix + b"session:" + name for name in names]
        with self._wrap_errors("write"):
            return int(self._run(self._delete, keys, [time, *names]))

    def _run(self, script: Any, keys: list[bytes], arguments: list[Any]) -> Any:
        return script([*self._common(), *keys], [BROKEN, anew(), *arguments])

    @contextlib.contextmanager
    def _wrap_errors(self, doing: str) -> Iterator[None]:
        """Turn what the library raises into a `StoreError` that names the server."""
        try:
            yield
        except (self._errors, OSError, ValueError) as error:
            raise StoreError(f"cannot {doing} the store at {self._where}: {error}") from error


def _row(version: bytes | None, blob: Any, updated: bytes | None) -> Row:
    """Return a row of what a server holds, which may be anything."""
    number = int(version) if version and re.fullmatch(rb"[0-9]{1,16}", version) else 0
    try:
        time_of_it = float(updated or 0)
    except ValueError:
        time_of_it = 0.0
    return Row(number if 1 <= number <= LARGEST else BROKEN, blob, time_of_it)

"""Which store a path, a URL or a name stands for."""

from __future__ import annotations

import os

from unikeras.errors import ArgumentError
from unikeras.memory._memory import MemoryStore
from unikeras.memory._redis import SCHEMES, RedisStore
from unikeras.memory._sqlite import SQLiteStore
from unikeras.memory._store import Store


def store_of(store: str | os.PathLike[str] | Store) -> Store:
    """Return a store as it is, or open the one that a text stands for.

    Args:
        store: `"memory:"`; a URL that begins with `redis://`, `rediss://` or `unix://`; else the path of a
            SQLite file.

    Raises:
        ArgumentError: it is something else.
        StoreError: it cannot be opened.

    Example:
        >>> type(store_of("memory:")).__name__, type(store_of("memory.db")).__name__
        ('MemoryStore', 'SQLiteStore')
    """
    if isinstance(store, Store):
        return store
    # ":memory:" is how SQLite itself calls it; nobody means a file of that name.
    if store in ("memory:", ":memory:"):
        return MemoryStore()
    if isinstance(store, str) and store.startswith(SCHEMES):
        return RedisStore(store)
    if isinstance(store, str | os.PathLike):
        return SQLiteStore(store)
    raise ArgumentError(
        f'a store is a path, "memory:", "redis://host:port/db" or a uk.memory.Store; received {store!r:.100}'
    )

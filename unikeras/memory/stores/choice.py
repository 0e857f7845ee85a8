"""Which store a path, a URL or a name stands for."""

from __future__ import annotations

import os
import re

from unikeras.errors import ArgumentError, ArgumentValueError
from unikeras.memory.stores.base import Store
from unikeras.memory.stores.in_memory import MemoryStore
from unikeras.memory.stores.redis import SCHEMES, RedisStore
from unikeras.memory.stores.sqlite import SQLiteStore

_KINDS = (
    f'a store is the path of a SQLite file, a URL that begins with {", ".join(SCHEMES)}, "memory:", '
    "or an object of a uk.memory.Store"
)


def store_of(store: str | os.PathLike[str] | Store) -> Store:
    """Return a store as it is, or open the one that a text stands for.

    Args:
        store: `"memory:"`; a URL that begins with `redis://`, `rediss://` or `unix://`; else the path of a
            SQLite file.

    Raises:
        ArgumentError: it is something else.
        ArgumentValueError: it is a URL that stands for no store.
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
    if isinstance(store, str) and (scheme := re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", store)):
        raise ArgumentValueError(f"no store is known for {scheme[0]}; {_KINDS}")
    if isinstance(store, str | os.PathLike):
        return SQLiteStore(store)
    raise ArgumentError(f"{_KINDS}; received {store!r:.100}")

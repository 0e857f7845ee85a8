"""Sessions: the memory of a recurrent model, kept for each user, and the stores that it lives in.

Nothing here imports keras or a framework: sessions over an artifact need numpy, safetensors and its runtime.
"""

from unikeras.memory._sessions import Sessions
from unikeras.memory.stores.base import Row, Store
from unikeras.memory.stores.in_memory import MemoryStore
from unikeras.memory.stores.redis import RedisStore
from unikeras.memory.stores.sqlite import SQLiteStore

__all__ = ["MemoryStore", "RedisStore", "Row", "SQLiteStore", "Sessions", "Store"]


def __dir__() -> list[str]:
    return sorted(__all__)

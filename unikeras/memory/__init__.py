"""Sessions: the memory of a recurrent model, kept for each user, and the stores that it lives in.

Nothing here imports keras or a framework: sessions over an artifact need numpy, safetensors and its runtime.
"""

from unikeras.memory._memory import MemoryStore
from unikeras.memory._redis import RedisStore
from unikeras.memory._sessions import Sessions
from unikeras.memory._sqlite import SQLiteStore
from unikeras.memory._store import Row, Store

__all__ = ["MemoryStore", "RedisStore", "Row", "SQLiteStore", "Sessions", "Store"]


def __dir__() -> list[str]:
    return sorted(__all__)

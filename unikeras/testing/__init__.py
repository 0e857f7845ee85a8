"""For tests of code that uses unikeras: contracts for stores and backends of your own, and Keras without hooks."""

from unikeras.testing._backend_contract import BackendContract
from unikeras.testing._hooks import uninstall_hooks
from unikeras.testing._store_contract import StoreContract

__all__ = ["BackendContract", "StoreContract", "uninstall_hooks"]


def __dir__() -> list[str]:
    return sorted(__all__)

"""Contract tests that ship with unikeras: what every store and every backend must do, for your own ones too."""

from unikeras.testing._backend_contract import BackendContract
from unikeras.testing._store_contract import StoreContract

__all__ = ["BackendContract", "StoreContract"]


def __dir__() -> list[str]:
    return sorted(__all__)

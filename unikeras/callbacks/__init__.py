"""Callbacks for `fit`: what is written while a model trains."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from unikeras._base.suggestions import missing_attribute

if TYPE_CHECKING:
    from unikeras.callbacks._checkpoint import Checkpoint as Checkpoint

__all__ = ["Checkpoint"]

_MODULES = {"Checkpoint": "_checkpoint"}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # A callback imports keras, and with it the framework.
        if name not in _MODULES:
            raise missing_attribute(__name__, name, __all__)
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

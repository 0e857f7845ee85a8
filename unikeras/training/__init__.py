"""Training: models whose steps are written once, and the loop that runs them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from unikeras._base.suggestions import missing_attribute
from unikeras.functions import debug, function

if TYPE_CHECKING:
    from unikeras.training._fit_saver import FitSaver as FitSaver
    from unikeras.training._model import Model as Model
    from unikeras.training._resume import resume as resume
    from unikeras.training._tbptt import tbptt as tbptt
    from unikeras.training.checkpoints._checkpointer import Checkpointer as Checkpointer

__all__ = ["Checkpointer", "Model", "debug", "function", "resume", "tbptt"]

_MODULES = {
    "Checkpointer": "checkpoints._checkpointer",
    "FitSaver": "_fit_saver",
    "Model": "_model",
    "resume": "_resume",
    "tbptt": "_tbptt",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # A subclass of keras.Model imports keras, and with it the framework; a function does so when it is called.
        if name not in _MODULES:
            raise missing_attribute(__name__, name, __all__)
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

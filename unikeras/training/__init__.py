"""Training: models whose steps are written once, the loop that runs them, and checkpoints of both."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from unikeras._base.suggestions import missing_attribute

if TYPE_CHECKING:
    from unikeras.functions import debug as debug
    from unikeras.functions import function as function
    from unikeras.training._fit_saver import FitSaver as FitSaver
    from unikeras.training._model import Model as Model
    from unikeras.training._resume import resume as resume
    from unikeras.training._tbptt import tbptt as tbptt
    from unikeras.training.checkpoints._checkpointer import Checkpointer as Checkpointer

__all__ = ["Checkpointer", "Model", "debug", "function", "resume", "tbptt"]

_MODULES = {
    "Checkpointer": "unikeras.training.checkpoints._checkpointer",
    "FitSaver": "unikeras.training._fit_saver",  # for unikeras.callbacks
    "Model": "unikeras.training._model",
    "debug": "unikeras.functions",
    "function": "unikeras.functions",
    "resume": "unikeras.training._resume",
    "tbptt": "unikeras.training._tbptt",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # Most of them import keras, and with it the framework; the files of checkpoints are read without.
        if name not in _MODULES:
            raise missing_attribute(__name__, name, __all__)
        return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

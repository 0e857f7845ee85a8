"""Training: models whose steps are written once, the loop that runs them, and what watches, saves and resumes it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from unikeras._base.suggestions import missing_attribute

if TYPE_CHECKING:
    from unikeras.functions import debug as debug
    from unikeras.functions import function as function
    from unikeras.training._accumulation import accumulate as accumulate
    from unikeras.training._best_weights import BestWeights as BestWeights
    from unikeras.training._early_stopping import EarlyStopping as EarlyStopping
    from unikeras.training._fit_saver import FitSaver as FitSaver
    from unikeras.training._largest_batch import largest_batch as largest_batch
    from unikeras.training._model import Model as Model
    from unikeras.training._plateau import ReduceLROnPlateau as ReduceLROnPlateau
    from unikeras.training._profile_run import profile as profile
    from unikeras.training._progress import progress as progress
    from unikeras.training._resume import resume as resume
    from unikeras.training._tbptt import tbptt as tbptt
    from unikeras.training.checkpoints._checkpointer import Checkpointer as Checkpointer

__all__ = [
    "BestWeights",
    "Checkpointer",
    "EarlyStopping",
    "Model",
    "ReduceLROnPlateau",
    "accumulate",
    "debug",
    "function",
    "largest_batch",
    "profile",
    "progress",
    "resume",
    "tbptt",
]

_MODULES = {
    "BestWeights": "training._best_weights",
    "Checkpointer": "training.checkpoints._checkpointer",
    "EarlyStopping": "training._early_stopping",
    "FitSaver": "training._fit_saver",
    "Model": "training._model",
    "ReduceLROnPlateau": "training._plateau",
    "accumulate": "training._accumulation",
    "debug": "functions",
    "function": "functions",
    "largest_batch": "training._largest_batch",
    "profile": "training._profile_run",
    "progress": "training._progress",
    "resume": "training._resume",
    "tbptt": "training._tbptt",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # Most of them import keras, and with it the framework; the files of checkpoints are read without.
        if name not in _MODULES:
            raise missing_attribute(__name__, name, __all__)
        return getattr(importlib.import_module(f"unikeras.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

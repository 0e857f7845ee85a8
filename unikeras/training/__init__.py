"""Training: models whose steps are written once, and the loop that runs them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from unikeras._base.suggestions import missing_attribute
from unikeras.functions import debug, function

if TYPE_CHECKING:
    from unikeras.training._accumulation import accumulate as accumulate
    from unikeras.training._best_weights import BestWeights as BestWeights
    from unikeras.training._early_stopping import EarlyStopping as EarlyStopping
    from unikeras.training._largest_batch import largest_batch as largest_batch
    from unikeras.training._model import Model as Model
    from unikeras.training._plateau import ReduceLROnPlateau as ReduceLROnPlateau
    from unikeras.training._tbptt import tbptt as tbptt

__all__ = [
    "BestWeights",
    "EarlyStopping",
    "Model",
    "ReduceLROnPlateau",
    "accumulate",
    "debug",
    "function",
    "largest_batch",
    "tbptt",
]

_MODULES = {
    "BestWeights": "_best_weights",
    "EarlyStopping": "_early_stopping",
    "Model": "_model",
    "ReduceLROnPlateau": "_plateau",
    "accumulate": "_accumulation",
    "largest_batch": "_largest_batch",
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

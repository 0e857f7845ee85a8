"""Training: models whose steps are written once, and the loop that runs them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from unikeras._base.suggestions import missing_attribute
from unikeras.functions import debug, function

if TYPE_CHECKING:
    from unikeras.training._model import Model as Model
    from unikeras.training._profile_run import Profile as Profile
    from unikeras.training._profile_run import profile as profile
    from unikeras.training._progress import Progress as Progress
    from unikeras.training._progress import progress as progress
    from unikeras.training._tbptt import tbptt as tbptt

__all__ = ["Model", "Profile", "Progress", "debug", "function", "profile", "progress", "tbptt"]

_MODULES = {
    "Model": "_model",
    "Profile": "_profile_run",
    "Progress": "_progress",
    "profile": "_profile_run",
    "progress": "_progress",
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

"""Training: compiled functions with state, models whose steps are written once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unikeras._suggest import missing_attribute
from unikeras.training._debug import debug
from unikeras.training._function import function

if TYPE_CHECKING:
    from unikeras.recurrent._tbptt import tbptt as tbptt
    from unikeras.training._model import Model as Model

__all__ = ["Model", "debug", "function", "tbptt"]


def __getattr__(name: str) -> Any:
    # A subclass of keras.Model imports keras, and with it the framework; a function does so when it is called.
    if name == "Model":
        from unikeras.training._model import Model

        return Model
    if name == "tbptt":  # lies on uk.stateful, which lies on functions
        from unikeras.recurrent._tbptt import tbptt

        return tbptt
    raise missing_attribute(__name__, name, __all__)


def __dir__() -> list[str]:
    return sorted(__all__)

"""unikeras: write the model, the training loop and the memory once, in Keras 3.

    import unikeras as uk

Names load at first use: importing this package imports neither keras nor any framework.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from unikeras._config import settle as _settle

if TYPE_CHECKING:
    from unikeras import backends as backends
    from unikeras import errors as errors
    from unikeras._config import current as backend
    from unikeras.autodiff import GradientTape, value_and_grad
    from unikeras.export import export_formats, export_model, load_artifact
    from unikeras.training import function
    from unikeras.workers import run_on

__version__ = "0.1.0"

# public name -> (module, attribute); None: the module itself
_NAMES: dict[str, tuple[str, str | None]] = {
    "GradientTape": ("autodiff", "GradientTape"),
    "backend": ("_config", "current"),
    "backends": ("backends", None),
    "errors": ("errors", None),
    "export_formats": ("export", "export_formats"),
    "export_model": ("export", "export_model"),
    "function": ("training", "function"),
    "load_artifact": ("export", "load_artifact"),
    "run_on": ("workers", "run_on"),
    "value_and_grad": ("autodiff", "value_and_grad"),
}

__all__ = [
    "GradientTape",
    "backend",
    "backends",
    "errors",
    "export_formats",
    "export_model",
    "function",
    "load_artifact",
    "run_on",
    "value_and_grad",
]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _NAMES[name]
    loaded = importlib.import_module(f"{__name__}.{module}")
    value = loaded if attribute is None else getattr(loaded, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})


_settle()

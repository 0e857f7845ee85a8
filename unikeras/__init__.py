"""unikeras: write the model, the training loop and the memory once, in Keras 3.

    import unikeras as uk

Names load at first use: importing this package imports neither keras nor any framework.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from unikeras._base.import_hook import when_imported as _when_imported
from unikeras._base.suggestions import missing_attribute as _missing_attribute
from unikeras.backends import settle as _settle

if TYPE_CHECKING:
    from unikeras import backends as backends
    from unikeras import callbacks as callbacks
    from unikeras import compare as compare
    from unikeras import data as data
    from unikeras import errors as errors
    from unikeras import interop as interop
    from unikeras import layers as layers
    from unikeras import memory as memory
    from unikeras import random as random
    from unikeras import testing as testing
    from unikeras import training as training
    from unikeras.autodiff import (
        GradientTape,
        check_gradients,
        custom_gradient,
        grad,
        hessian,
        hvp,
        jacobian,
        jvp,
        no_grad,
        remat,
        stop_gradient,
        value_and_grad,
        vjp,
        vmap,
    )
    from unikeras.backends import current_name as backend
    from unikeras.backends import device, devices
    from unikeras.drawing import graph
    from unikeras.export import export_formats, export_model, load_artifact
    from unikeras.functions import debug, function
    from unikeras.layers import accelerate as accelerate
    from unikeras.streaming import load_state, reset_state, save_state, stateful
    from unikeras.training import Model
    from unikeras.workers import run_on

__version__ = "0.1.0"

# public name -> (module, attribute); None: the module itself
_NAMES: dict[str, tuple[str, str | None]] = {
    "GradientTape": ("autodiff", "GradientTape"),
    "Model": ("training", "Model"),
    "accelerate": ("layers", "accelerate"),
    "backend": ("backends", "current_name"),
    "backends": ("backends", None),
    "callbacks": ("callbacks", None),
    "check_gradients": ("autodiff", "check_gradients"),
    "compare": ("compare", None),
    "custom_gradient": ("autodiff", "custom_gradient"),
    "data": ("data", None),
    "debug": ("functions", "debug"),
    "device": ("backends", "device"),
    "devices": ("backends", "devices"),
    "errors": ("errors", None),
    "export_formats": ("export", "export_formats"),
    "export_model": ("export", "export_model"),
    "function": ("functions", "function"),
    "grad": ("autodiff", "grad"),
    "graph": ("drawing", "graph"),
    "hessian": ("autodiff", "hessian"),
    "hvp": ("autodiff", "hvp"),
    "interop": ("interop", None),
    "jacobian": ("autodiff", "jacobian"),
    "jvp": ("autodiff", "jvp"),
    "layers": ("layers", None),
    "load_artifact": ("export", "load_artifact"),
    "load_state": ("streaming", "load_state"),
    "memory": ("memory", None),
    "no_grad": ("autodiff", "no_grad"),
    "random": ("random", None),
    "remat": ("autodiff", "remat"),
    "reset_state": ("streaming", "reset_state"),
    "run_on": ("workers", "run_on"),
    "save_state": ("streaming", "save_state"),
    "stateful": ("streaming", "stateful"),
    "stop_gradient": ("autodiff", "stop_gradient"),
    "testing": ("testing", None),
    "training": ("training", None),
    "value_and_grad": ("autodiff", "value_and_grad"),
    "vjp": ("autodiff", "vjp"),
    "vmap": ("autodiff", "vmap"),
}

__all__ = [
    "GradientTape",
    "Model",
    "accelerate",
    "backend",
    "backends",
    "callbacks",
    "check_gradients",
    "compare",
    "custom_gradient",
    "data",
    "debug",
    "device",
    "devices",
    "errors",
    "export_formats",
    "export_model",
    "function",
    "grad",
    "graph",
    "hessian",
    "hvp",
    "interop",
    "jacobian",
    "jvp",
    "layers",
    "load_artifact",
    "load_state",
    "memory",
    "no_grad",
    "random",
    "remat",
    "reset_state",
    "run_on",
    "save_state",
    "stateful",
    "stop_gradient",
    "testing",
    "training",
    "value_and_grad",
    "vjp",
    "vmap",
]


if not TYPE_CHECKING:  # type checkers know the names above; this would make every other name one of any type

    def __getattr__(name: str) -> Any:
        if name not in _NAMES:
            raise _missing_attribute(__name__, name, __all__)
        module, attribute = _NAMES[name]
        loaded = importlib.import_module(f"{__name__}.{module}")
        value = loaded if attribute is None else getattr(loaded, attribute)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _announce_classes() -> None:
    """Let `keras.models.load_model` find the classes of this package in a file, whatever was imported of it."""
    from unikeras._keras.saved_classes import announce

    announce()


_settle()
_when_imported("keras", _announce_classes)

"""Recurrent state as a value: taken as an argument, returned with the output.

state       a memory's specs, nested and flat; needs no framework
layers      LSTM and GRU over the backend's fastest recurrence (public in `unikeras.layers`)
accelerate  the same model with these layers
streaming   a model's graph with its memory as inputs and outputs
chunks      does that graph give in chunks what the model gives at once?
step        `uk.stateful`
turns       several sequences of different lengths in one call
persistence the memory of `stateful=True` layers: saved, loaded, reset
tbptt       `uk.training.tbptt`
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from unikeras._suggest import missing_attribute

if TYPE_CHECKING:
    from unikeras.recurrent._accelerate import accelerate
    from unikeras.recurrent._persistence import load_state, reset_state, save_state
    from unikeras.recurrent._step import Step, stateful

__all__ = ["Step", "accelerate", "load_state", "reset_state", "save_state", "stateful"]

_MODULES = {"Step": "_step", "stateful": "_step", "accelerate": "_accelerate"}


def __getattr__(name: str) -> Any:
    # An artifact's memory needs `_state`, and neither keras nor a framework.
    if name not in __all__:
        raise missing_attribute(__name__, name, __all__)
    module = importlib.import_module(f"{__name__}.{_MODULES.get(name, '_persistence')}")
    return getattr(module, name)

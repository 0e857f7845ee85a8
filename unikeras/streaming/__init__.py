"""Recurrent state as a value: taken as an argument, returned with the output.

_streaming_graph  a model's graph with its states as inputs and outputs
_chunk_check      does that graph give in chunks what the model gives at once?
_step             `uk.stateful`
_padded_turns     several sequences of different lengths in one call
_layer_states     the states of `stateful=True` layers: saved, loaded, reset
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from unikeras._base.suggestions import missing_attribute

if TYPE_CHECKING:
    from unikeras.streaming._carried_output import Carried as Carried
    from unikeras.streaming._layer_states import load_state, reset_state, save_state
    from unikeras.streaming._step import Step, stateful

__all__ = ["Step", "load_state", "reset_state", "save_state", "stateful"]

_MODULES = {
    "Carried": "_carried_output",
    "Step": "_step",
    "load_state": "_layer_states",
    "reset_state": "_layer_states",
    "save_state": "_layer_states",
    "stateful": "_step",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # Each imports keras, and with it the framework.
        if name not in _MODULES:
            raise missing_attribute(__name__, name, __all__)
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)

"""Recurrent state as a value: taken as an argument, returned with the output.

state       a memory's specs, nested and flat; needs no framework
streaming   a model's graph with its memory as inputs and outputs
chunks      does that graph give in chunks what the model gives at once?
step        `uk.stateful`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unikeras.recurrent._step import Step, stateful

__all__ = ["Step", "stateful"]


def __getattr__(name: str) -> Any:
    # An artifact reads its memory's specs from here where there is no keras.
    if name in __all__:
        from unikeras.recurrent import _step

        return getattr(_step, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

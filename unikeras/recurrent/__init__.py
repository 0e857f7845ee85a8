"""Recurrent state as a value: taken as an argument, returned with the output.

state       a memory's specs, nested and flat; needs no framework
streaming   a model's graph with its memory as inputs and outputs
chunks      does that graph give in chunks what the model gives at once?
step        `uk.stateful`
layers      LSTM and GRU over the backend's fastest recurrence (public in `unikeras.layers`)
accelerate  the same model with these layers
"""

from unikeras.recurrent._accelerate import accelerate
from unikeras.recurrent._step import Step, stateful

__all__ = ["Step", "accelerate", "stateful"]

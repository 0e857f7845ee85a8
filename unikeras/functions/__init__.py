"""Functions of tensors, compiled together with the Keras variables that they use, and the same as plain Python."""

from unikeras.functions._debug import debug
from unikeras.functions._debug import is_debugging as is_debugging
from unikeras.functions._explain import program_graph as program_graph
from unikeras.functions._function import Function as Function
from unikeras.functions._function import function
from unikeras.functions._optimizer_rollback import keep_what_optimizers_change as keep_what_optimizers_change
from unikeras.functions._runners import EagerRunner as EagerRunner

__all__ = ["debug", "function"]

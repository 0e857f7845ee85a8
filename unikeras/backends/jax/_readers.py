"""Which variables other threads read while one thread's programs write them: their arrays must not be given away.

A program donates the arrays that it replaces. An array that another thread has taken from a variable meanwhile (for
`get_weights`, or for an eager call) would be deleted under it. So a variable notes which thread writes it; when another
one reads it, it is watched from then on, and programs leave its arrays alone.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from unikeras._keras import hooks

if TYPE_CHECKING:
    import keras

# Held while a program runs: a read by another thread comes before the program takes the arrays, or after it is done.
lock = threading.RLock()

_WRITER, _WATCHED = "_unikeras_writer", "_unikeras_watched"
# Most processes never watch a variable.
_any_watched = False


class Owner:
    """The thread that runs a program, noted at the variables that the program writes.

    Args:
        variables: these variables.
    """

    def __init__(self, variables: Sequence[keras.Variable]) -> None:
        self._variables = variables
        self._thread: int | None = None

    def is_watched(self) -> bool:
        """Say whether a thread other than this one has read a variable while it was written here."""
        if self._thread != threading.get_ident():
            self._thread = threading.get_ident()
            hooks.use("keras.Variable.value", _watching)
            for variable in self._variables:
                vars(variable)[_WRITER] = self._thread
        return _any_watched and any(_WATCHED in vars(variable) for variable in self._variables)


def _watch(variable: keras.Variable) -> None:
    global _any_watched
    with lock:
        vars(variable)[_WATCHED] = _any_watched = True


def _watching(original: property) -> property:
    own: Any = original.fget

    @functools.wraps(own)
    def value(self: keras.Variable) -> Any:
        writer = vars(self).get(_WRITER)
        if writer is not None and writer != threading.get_ident() and _WATCHED not in vars(self):
            _watch(self)
        return own(self)

    return property(value)

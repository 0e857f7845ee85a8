"""How a tape learns that a Keras variable is read.

On JAX a variable's value is an immutable array that any other variable may hold too, so the array alone
does not say which variable it came from. Keras passes every value that a variable gives out through
`Variable._maybe_autocast`, before mixed precision casts it; there the tapes of this thread see the
variable and its value together. While no tape records, the method is Keras' own and one list lookup.
"""

from __future__ import annotations

import functools
import threading
from typing import Any, Protocol

import keras

_local = threading.local()


class Reader(Protocol):
    """A tape, as far as variables are concerned."""

    def read(self, variable: keras.Variable, value: Any) -> Any:
        """Note that a variable gave out a value; return the object to give out in its place."""


def readers() -> list[Reader]:
    """Return the tapes that record in this thread, the innermost last."""
    if not hasattr(_local, "readers"):
        _local.readers = []
    return _local.readers


@functools.cache
def install() -> None:
    """Let the tapes see what variables give out; once per process."""
    own = keras.Variable._maybe_autocast

    @functools.wraps(own)
    def _maybe_autocast(self: keras.Variable, value: Any) -> Any:
        for reader in readers():
            value = reader.read(self, value)
        return own(self, value)

    keras.Variable._maybe_autocast = _maybe_autocast

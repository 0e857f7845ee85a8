"""What a variable's values are in a traced function: the tensor that stands for them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras

from unikeras import backends
from unikeras._keras import hooks


def install() -> None:
    """Let `Variable.numpy`, and so `get_weights`, return tensors while a function is traced.

    A traced variable has no values that numpy could hold, and `target.set_weights(online.get_weights())` needs none:
    it copies variables to variables. As a numpy array would be, the tensor is what the variable held at this point, and
    nothing is differentiated through it.
    """
    hooks.use("keras.Variable.numpy", _traceable)


def _traceable(own: Callable[[keras.Variable], Any]) -> Callable[[keras.Variable], Any]:
    @functools.wraps(own)
    def numpy(self: keras.Variable) -> Any:
        backend = backends.current()
        if backend.is_tracing() and backend.is_symbolic(value := keras.ops.stop_gradient(self.value)):
            return value
        return own(self)

    return numpy

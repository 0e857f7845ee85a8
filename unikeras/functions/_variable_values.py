"""What a variable's values are in a traced function: the tensor that stands for them."""

from __future__ import annotations

import functools
from typing import Any

import keras

from unikeras import backends


@functools.cache
def install() -> None:
    """Let `Variable.numpy`, and so `get_weights`, give out tensors while a function is traced.

    A traced variable has no values that numpy could hold, and `target.set_weights(online.get_weights())` needs none:
    it copies variables to variables. As a numpy array would be, the tensor is what the variable held at this point, and
    nothing is differentiated through it.
    """
    own = keras.Variable.numpy

    @functools.wraps(own)
    def numpy(self: keras.Variable) -> Any:
        backend = backends.current()
        if backend.is_tracing() and backend.is_symbolic(value := keras.ops.stop_gradient(self.value)):
            return value
        return own(self)

    keras.Variable.numpy = numpy

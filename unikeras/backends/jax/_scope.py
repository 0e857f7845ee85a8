"""Which variables a function reads and writes, found by running it under Keras' own StatelessScope."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import keras
from keras.src.backend import get_stateless_scope, in_stateless_scope

from unikeras._keras import hooks


class RecordingScope(keras.StatelessScope):
    """Gives variables the values it was told, and notes the others that are read, and all that are written.

    Args:
        values: the value of each variable, by the variable's id.
        initialize_variables: give variables that are created inside their values at the scope's end.
    """

    def __init__(self, values: dict[int, Any] | None = None, initialize_variables: bool = True) -> None:
        super().__init__(collect_losses=True, initialize_variables=initialize_variables)
        self.state_mapping.update(values or {})
        self.read: dict[int, keras.Variable] = {}
        self.written: dict[int, keras.Variable] = {}

    def get_current_value(self, variable: keras.Variable) -> Any:
        if id(variable) not in self.state_mapping:
            self.read[id(variable)] = variable
            # None only before the variable has a value; Keras then shows one made by its initializer.
            return variable._value
        return self.state_mapping[id(variable)]

    def add_update(self, update: tuple[keras.Variable, Any]) -> None:
        variable, value = update
        self.written[id(variable)] = variable
        self.state_mapping[id(variable)] = value


def install() -> None:
    """Let a RecordingScope take variables that are made of values."""
    hooks.use("keras.Variable.__init__", _made_of_values)
    hooks.use("keras.layers.RNN._create_state_variables", _created_outside)


def _made_of_values(own: Callable[..., None]) -> Callable[..., None]:
    """Let `keras.Variable(1.0)` make a variable inside a RecordingScope, as a variable with an initializer does."""

    @functools.wraps(own)
    def initialize(
        self: keras.Variable, initializer: Any, shape: Any = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        if (
            in_stateless_scope()
            and isinstance(get_stateless_scope(), RecordingScope)
            and _is_value(initializer)
        ):
            with jax.ensure_compile_time_eval():
                value = keras.ops.convert_to_tensor(initializer, dtype=dtype)
            initializer, shape, dtype = _giving(value), value.shape, dtype or value.dtype
        own(self, initializer, shape=shape, dtype=dtype, **kwargs)

    return initialize


def _created_outside(own: Callable[..., None]) -> Callable[..., None]:
    """Let a stateful layer make its state, of zeros, inside a RecordingScope."""

    @functools.wraps(own)
    def create(self: keras.layers.RNN, batch_size: int) -> None:
        with jax.ensure_compile_time_eval():
            own(self, batch_size)

    return create


def _is_value(initializer: Any) -> bool:
    return not (callable(initializer) or isinstance(initializer, str | jax.core.Tracer))


def _giving(value: Any) -> Any:
    return lambda shape, dtype=None: keras.ops.convert_to_tensor(value, dtype=dtype)

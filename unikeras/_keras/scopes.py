"""What happens to Keras variables that a function reads and writes while it is transformed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import keras
from keras.src.backend import in_stateless_scope as in_stateless_scope
from keras.src.backend.common import global_state
from keras.src.backend.common.variables import initialize_all_variables

from unikeras.errors import TransformError

Answer = TypeVar("Answer")


class VariablesCreated(TransformError):
    """A function created variables under a transform, where they cannot get their values."""


def after_building(call: Callable[[], Answer]) -> Answer:
    """Run a transformed function; where it built a layer, give the variables their values outside, and run again."""
    try:
        return call()
    except VariablesCreated:
        initialize_all_variables()
        return call()


class TransformScope(keras.StatelessScope):
    """A StatelessScope inside which variables that it does not hold are what they are outside."""

    def __init__(self, variables: Sequence[Any] = (), values: Sequence[Any] = ()) -> None:
        super().__init__(collect_losses=True, initialize_variables=False)
        self.state_mapping = dict(zip(map(id, variables), values, strict=True))

    def get_current_value(self, variable: Any) -> Any:
        if id(variable) in self.state_mapping:
            return self.state_mapping[id(variable)]
        if self.original_scope is not None:
            return self.original_scope.get_current_value(variable)
        return variable._value

    def __exit__(self, exc_type: Any = None, *rest: Any) -> None:
        super().__exit__(exc_type, *rest)
        created = global_state.get_global_attribute("uninitialized_variables")
        if created and exc_type is None and self.original_scope is None:
            paths = ", ".join(variable.path for variable in created)
            raise VariablesCreated(f"{paths} were created under a transform; build the layer before")


class WriteOnce(TransformScope):
    """Holds back what a function assigns, so that it can leave the transform as a result of the function.

    Args:
        variables: Keras variables that have other values inside.
        values: those values, native tensors.
    """

    def __init__(self, variables: Sequence[Any] = (), values: Sequence[Any] = ()) -> None:
        super().__init__(variables, values)
        self._written: dict[int, Any] = {}

    def add_update(self, update: tuple[Any, Any]) -> None:
        variable, value = update
        self._written[id(variable)] = variable
        self.state_mapping[id(variable)] = value

    @property
    def written(self) -> list[Any]:
        """The variables that were assigned to."""
        return list(self._written.values())

    @property
    def new_values(self) -> list[Any]:
        """What was assigned to them last."""
        return [self.state_mapping[key] for key in self._written]


class WriteOnceWithLosses(WriteOnce):
    """Holds back the losses that layers add too, with the layers: these add what leaves the transform."""

    def __init__(self) -> None:
        super().__init__()
        self.adding: list[keras.Layer] = []

    def add_loss(self, loss: Any) -> None:
        super().add_loss(loss)
        # Keras does not say which layer adds; it calls this from that layer's own `add_loss`.
        self.adding.append(sys._getframe(1).f_locals["self"])


class ReadOnly(TransformScope):
    """Refuses assignments: under vmap one variable would have to hold a value for each example."""

    def add_update(self, update: tuple[Any, Any]) -> None:
        raise TransformError(
            f"vmap runs one function for many examples at once, and it assigns to {update[0].path}, which has one "
            "value only. Layers with random state (Dropout, seed generators) or with statistics (BatchNormalization) "
            "cannot run in training mode inside vmap: pass training=False, or draw random numbers outside and pass "
            "them in"
        )

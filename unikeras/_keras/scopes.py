"""What happens to Keras variables that a function reads and writes while it is transformed."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import keras
from keras.src.backend import get_stateless_scope
from keras.src.backend import in_stateless_scope as in_stateless_scope
from keras.src.backend.common import global_state
from keras.src.backend.common.variables import initialize_all_variables

from unikeras._keras import hooks
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


class RecordingScope(keras.StatelessScope):
    """Notes which variables are read, and which are written, and returns the values that it was told.

    Args:
        values: the value of each variable, by the variable's id.
        initialize_variables: give variables that are created inside their values at the scope's end.

    Attributes:
        read: the variables without such a value that were read, by id.
        written: the variables that were assigned to, by id.
    """

    def __init__(self, values: dict[int, Any] | None = None, initialize_variables: bool = True) -> None:
        super().__init__(collect_losses=True, initialize_variables=initialize_variables)
        self.state_mapping.update(values or {})
        self.read: dict[int, keras.Variable] = {}
        self.written: dict[int, keras.Variable] = {}

    def get_current_value(self, variable: keras.Variable) -> Any:
        if id(variable) not in self.state_mapping:
            return self.first_value(variable)
        return self.state_mapping[id(variable)]

    def outside(self) -> AbstractContextManager[Any]:
        """Return a context in which tensors have values, whatever is traced around it."""
        return nullcontext()

    def has_value(self, tensor: Any) -> bool:
        """Say whether a tensor has a value, and is no symbol of a trace."""
        return True

    def first_value(self, variable: keras.Variable) -> Any:
        """Return the value of a variable that the scope was told none of, and note the read."""
        self.read[id(variable)] = variable
        # None only before the variable has a value; Keras then shows one made by its initializer.
        return variable._value

    def add_update(self, update: tuple[keras.Variable, Any]) -> None:
        variable, value = update
        self.written[id(variable)] = variable
        self.state_mapping[id(variable)] = value


def take_created_variables() -> None:
    """Let a RecordingScope take variables that are made of values, and those that a stateful layer makes.

    Regularizers read variables in it as they do outside, seen by tapes.
    """
    hooks.use("keras.Variable.__init__", _made_of_values)
    hooks.use("keras.layers.RNN._create_state_variables", _created_outside)
    hooks.use("keras.Layer._get_regularization_losses", _of_variables)


def recording_scope() -> RecordingScope | None:
    """Return the RecordingScope that this thread is in, around others perhaps; None where there is none."""
    scope = get_stateless_scope()
    while scope is not None and not isinstance(scope, RecordingScope):
        scope = scope.original_scope
    return scope


def is_recording() -> bool:
    """Say whether this thread is in a RecordingScope."""
    return recording_scope() is not None


def _made_of_values(own: Callable[..., None]) -> Callable[..., None]:
    """Let `keras.Variable(1.0)` make a variable inside a RecordingScope, as a variable with an initializer does."""

    @functools.wraps(own)
    def initialize(
        self: keras.Variable, initializer: Any, shape: Any = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        scope = recording_scope()
        if scope is not None and not callable(initializer) and not isinstance(initializer, str):
            with scope.outside():
                value = keras.ops.convert_to_tensor(initializer, dtype=dtype)
            if scope.has_value(value):
                initializer, shape, dtype = _giving(value), value.shape, dtype or value.dtype
        own(self, initializer, shape=shape, dtype=dtype, **kwargs)

    return initialize


def _created_outside(own: Callable[..., None]) -> Callable[..., None]:
    """Let a stateful layer make its state, of zeros, inside a RecordingScope."""

    @functools.wraps(own)
    def create(self: keras.layers.RNN, batch_size: int) -> None:
        scope = recording_scope()
        with nullcontext() if scope is None else scope.outside():
            own(self, batch_size)

    return create


def _of_variables(own: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """Let regularizers take variables inside a RecordingScope, where Keras gives them values that no tape saw."""

    @functools.wraps(own)
    def losses(self: keras.Layer) -> list[Any]:
        if recording_scope() is None:
            return own(self)
        return [v.regularizer(v) for v in self.trainable_weights if v.regularizer is not None]

    return losses


def _giving(value: Any) -> Any:
    return lambda shape, dtype=None: keras.ops.convert_to_tensor(value, dtype=dtype)


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

"""A module of the framework's own, as a Keras layer calls it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any


class NativeModule(ABC):
    """A module of the framework, whose weights are Keras variables that share memory with it.

    Attributes:
        module: the module itself, not a copy.
        variables: by the module's own names, its parameters in its own order, then its buffers. What has two names
            has one variable, under the first.
        aliases: by a further name of a weight, the name in `variables`.
        unsaved: the names of buffers that a state_dict of the module leaves out.
        dtype: of its floating-point weights, as Keras names it; None where it has none.
    """

    module: Any
    variables: Mapping[str, Any]
    aliases: Mapping[str, str]
    unsaved: frozenset[str]
    dtype: str | None

    @abstractmethod
    def call(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], training: bool, compute_dtype: str | None
    ) -> Any:
        """Run the module; afterwards its parts are in the mode that they were in.

        Args:
            args: nested structures of native tensors of any shape and dtype.
            kwargs: likewise.
            training: whether it is in its training mode; then its buffers may change.
            compute_dtype: the dtype of mixed precision, in which the framework computes what it can; None for none.

        Returns:
            What the module returns; mappings as dicts.
        """

    @abstractmethod
    def output_spec(self, args: Sequence[Any], kwargs: Mapping[str, Any], compute_dtype: str | None) -> Any:
        """Return the shapes and dtypes of what the module returns, without computing it.

        Args:
            args: nested structures of `keras.KerasTensor`, of any shape; None is a dynamic axis.
            kwargs: likewise.
            compute_dtype: as for `call`.

        Returns:
            The structure that `call` returns, of `keras.KerasTensor`.
        """

    @abstractmethod
    def unfrozen(self) -> AbstractContextManager[None]:
        """Let the module's own flags apply inside the block, where the Keras layer is frozen as a whole.

        Returns:
            A context manager.
        """

    @abstractmethod
    def module_copy(self) -> Any:
        """Return a copy of the module, with its numbers and its own flags."""

"""Assigning to a variable whose value a tape has still to answer for.

Keras assigns in place, which on PyTorch also changes what autograd kept for the backward pass. Where a
tape has read the variable and not yet been released, the parameter gets new memory instead: the tape keeps
a view of the old (`TorchTape.read`), and its gradient is with respect to the value that was read.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

import torch

from unikeras._keras import hooks

if TYPE_CHECKING:
    import keras


class Reader(Protocol):
    """A tape, as far as assignments are concerned."""

    def has_read(self, variable: keras.Variable) -> bool:
        """Say whether it may still answer for a value that the variable gave out."""


_readers: weakref.WeakSet[Reader] = weakref.WeakSet()


def protect(reader: Reader) -> None:
    """Keep the values that a tape reads from being overwritten, for as long as the tape lives."""
    hooks.use("keras.Variable._direct_assign", _protecting)
    _readers.add(reader)


def is_read(variable: keras.Variable) -> bool:
    """Say whether a tape may still answer for a value that a variable gave out."""
    return any(reader.has_read(variable) for reader in list(_readers))


def keep_read_values(variables: Iterable[Any]) -> set[int]:
    """Give variables that tapes have read new memory, with the same numbers, before they are changed in place.

    Returns:
        The ids of those variables. Where they are changed as `_value.data`, autograd does not take it for a change of
        what the tapes hold.
    """
    if not _readers:
        return set()
    read = [variable for variable in variables if is_read(variable)]
    for variable in read:
        variable._value.data = variable._value.data.clone()
    return set(map(id, read))


def _protecting(own: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(own)
    def _direct_assign(self: keras.Variable, value: torch.Tensor) -> None:
        if is_read(self):
            parameter = self._value
            parameter.data = value.detach().to(parameter.device, parameter.dtype, copy=True)
        else:
            own(self, value)

    return _direct_assign

"""Which tapes record in this thread, and how they learn that a Keras variable is read.

A variable's value does not say whose it is: on JAX two variables may hold one array, on every backend
`layer.trainable = False` is known to the variable alone. Keras passes every value that a variable
returns through `Variable._maybe_autocast`, before mixed precision casts it; there the tapes of the thread see
the variable and its value together. While no tape records, the method is Keras' own behind one comparison.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

from unikeras._keras import hooks
from unikeras._keras.variables import is_differentiable


class Reader(Protocol):
    """A tape, or what else sees the variables that this thread reads."""

    def _read(self, variable: Any, value: Any) -> Any:
        """See the value that a variable returns; return the tensor to return instead: the same values."""


_local = threading.local()
# Over all threads; a plain number, so that torch.compile can guard on it and skip the rest.
_count = 0
_lock = threading.Lock()


def tapes() -> list[Reader]:
    """Return the tapes whose block this thread is in, the innermost last."""
    if not hasattr(_local, "tapes"):
        _local.tapes = []
    return _local.tapes


def push(tape: Reader) -> None:
    """Let a tape see what this thread reads."""
    global _count
    install()
    tapes().append(tape)
    with _lock:
        _count += 1


def remove(tape: Reader) -> None:
    """Stop showing a tape what this thread reads."""
    global _count
    tapes().remove(tape)
    with _lock:
        _count -= 1


def unseen() -> AbstractContextManager[None]:
    """Let variables return in this block what they hold, unseen by the tapes of this thread."""
    return seen_by([])


@contextlib.contextmanager
def seen_by(readers: list[Reader]) -> Iterator[None]:
    """Let only these readers see what this thread reads in this block."""
    before, _local.tapes = tapes(), readers
    try:
        yield
    finally:
        _local.tapes = before


class _Reader:
    """Notes the trainable variables that are read, instead of a tape."""

    def __init__(self) -> None:
        self.variables: dict[int, Any] = {}

    def _read(self, variable: Any, value: Any) -> Any:
        if variable.trainable and is_differentiable(value):
            self.variables[id(variable)] = variable
        return value


@contextlib.contextmanager
def reads() -> Iterator[list[Any]]:
    """Collect the trainable variables with gradients that this thread reads in the block; filled at its end."""
    reader = _Reader()
    found: list[Any] = []
    push(reader)
    try:
        yield found
    finally:
        remove(reader)
    found.extend(reader.variables.values())


def install() -> None:
    """Prepare Keras: variables tell tapes that they are read."""
    hooks.use("keras.Variable._maybe_autocast", _seen)


def _seen(own: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    @functools.wraps(own)
    def _maybe_autocast(self: Any, value: Any) -> Any:
        if _count:
            for tape in tapes():
                value = tape._read(self, value)
        return own(self, value)

    return _maybe_autocast

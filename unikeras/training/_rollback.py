"""Python code that changes Keras variables wholly or, where it raises, not at all."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras.src.backend import in_stateless_scope

from unikeras import backends

_local = threading.local()


class _Kept:
    """The values that variables had before the block."""

    def __init__(self) -> None:
        self._restore: dict[int, tuple[keras.Variable, Callable[[], None]]] = {}

    def keep(self, variable: keras.Variable) -> None:
        if id(variable) not in self._restore and getattr(variable, "_value", None) is not None:
            self._restore[id(variable)] = variable, backends.current().keep(variable)

    def restore(self) -> None:
        for _, put_back in self._restore.values():
            put_back()


@contextlib.contextmanager
def all_or_nothing() -> Iterator[None]:
    """Put back all variables that the block wrote to, if it raises; blocks nest."""
    _install()
    outer = getattr(_local, "kept", None)
    if outer is not None:
        yield  # the outer block puts back what this one does
        return
    _local.kept = kept = _Kept()
    try:
        yield
    except BaseException:
        kept.restore()
        raise
    finally:
        _local.kept = None


def keep(variables: list[keras.Variable]) -> None:
    """Keep the values of variables that are about to be changed in place, where a block asks for it."""
    kept = _kept()
    if kept is not None:
        for variable in variables:
            kept.keep(variable)


def _kept() -> _Kept | None:
    # Where a program is traced that runs later, what is assigned is the program's, and has no value to keep.
    return None if backends.current().is_tracing() else getattr(_local, "kept", None)


@functools.cache
def _install() -> None:
    own = keras.Variable.assign

    @functools.wraps(own)
    def assign(self: keras.Variable, value: Any) -> Any:
        kept = _kept()
        if kept is not None and not in_stateless_scope():
            kept.keep(self)
        return own(self, value)

    keras.Variable.assign = assign

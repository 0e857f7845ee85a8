"""Python code that changes Keras variables wholly or, where it raises, not at all."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras

from unikeras import backends
from unikeras._keras import hooks
from unikeras._keras.scopes import in_stateless_scope
from unikeras.backends import KeptValue

_local = threading.local()


class _Transaction:
    """The values that variables had before a block changed them."""

    def __init__(self) -> None:
        self._values: dict[int, tuple[keras.Variable, KeptValue]] = {}

    def keep(self, variable: keras.Variable) -> None:
        if id(variable) not in self._values and getattr(variable, "_value", None) is not None:
            self._values[id(variable)] = variable, backends.current().snapshot(variable)

    def restore(self) -> None:
        for _, value in self._values.values():
            value.restore()

    def commit(self, outer: _Transaction | None) -> None:
        """Let go of the values, or hand them to the block around this one, which may still raise."""
        for key, (variable, value) in self._values.items():
            if outer is None or key in outer._values:
                value.release()
            else:
                outer._values[key] = variable, value


@contextlib.contextmanager
def all_or_nothing() -> Iterator[None]:
    """Put back all variables that the block wrote to, if it raises; blocks nest."""
    hooks.use("keras.Variable.assign", _keep_before_assign)
    backends.current().on_native_write(keep)
    outer = getattr(_local, "transaction", None)
    _local.transaction = own = _Transaction()
    try:
        yield
    except BaseException:
        own.restore()
        raise
    else:
        own.commit(outer)
    finally:
        _local.transaction = outer


def keep(variables: list[keras.Variable]) -> None:
    """Keep the values of variables that are about to be changed in place, where a block asks for it."""
    if backends.current().is_tracing():
        backends.current().own(variables)
        return
    transaction = _open()
    if transaction is not None:
        for variable in variables:
            transaction.keep(variable)


def _open() -> _Transaction | None:
    transaction = getattr(_local, "transaction", None)
    # Where a program is traced that runs later, what is assigned is the program's, and has no value to keep.
    return None if transaction is None or backends.current().is_tracing() else transaction


def _keep_before_assign(own: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(own)
    def assign(self: keras.Variable, value: Any) -> Any:
        transaction = _open()
        if transaction is not None and not in_stateless_scope():
            transaction.keep(self)
        return own(self, value)

    return assign

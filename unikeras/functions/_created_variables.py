"""Which Keras variables are created while a function runs."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator

import keras

from unikeras._keras import hooks

_local = threading.local()


@contextlib.contextmanager
def created_variables() -> Iterator[list[keras.Variable]]:
    """Give a list that fills with the variables that this thread creates in the block."""
    hooks.use("keras.Variable.__init__", _note_created)
    created: list[keras.Variable] = []
    watchers = _watchers()
    watchers.append(created)
    try:
        yield created
    finally:
        watchers.pop()  # blocks nest; `remove` would take an equal list


def _watchers() -> list[list[keras.Variable]]:
    if not hasattr(_local, "watchers"):
        _local.watchers = []
    return _local.watchers


def _note_created(own: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(own)
    def initialize(self: keras.Variable, *args: object, **kwargs: object) -> None:
        own(self, *args, **kwargs)
        for created in _watchers():
            created.append(self)

    return initialize

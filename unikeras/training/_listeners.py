"""Which training batches the callbacks of a fit are told of: handing over logs costs as much as a small step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import keras

_BATCH_METHODS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")


class Listeners:
    """Says for each execution whether a callback wants to be told of it.

    A callback with a method `hears(begin, end)` is asked before each execution, with its first and last batch; any
    other callback that has a method for training batches is told of all of them.

    Args:
        callbacks: those of a fit.
    """

    def __init__(self, callbacks: Iterable[Any]) -> None:
        listening = [callback for callback in callbacks if _listens(callback)]
        self._choosing: list[Callable[[int, int], bool]] = [
            callback.hears for callback in listening if hasattr(callback, "hears")
        ]
        self._is_always = len(self._choosing) < len(listening)

    def hear(self, begin: int, end: int) -> bool:
        """Say whether a callback hears of an execution; all that choose are asked."""
        heard = self._is_always
        for hears in self._choosing:
            heard |= hears(begin, end)
        return heard


def _listens(callback: Any) -> bool:
    if isinstance(callback, keras.callbacks.LambdaCallback):
        return True
    return any(
        getattr(type(callback), name) is not getattr(keras.callbacks.Callback, name)
        for name in _BATCH_METHODS
    )

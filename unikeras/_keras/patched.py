"""Attributes that are replaced while a block runs: functions for one thread only, other values for all threads.

Blocks over one attribute may nest, and run in several threads at once: the last one to end puts the original back.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from typing import Any

_lock = threading.RLock()


@contextlib.contextmanager
def patched(owner: Any, name: str, make: Callable[[Any], Any]) -> Iterator[None]:
    """Replace a function or method for what this thread calls in the block; other threads call the original.

    Args:
        owner: a module or a class.
        name: the attribute.
        make: takes what the thread would call without the block; returns what it calls instead.
    """
    key = id(owner), name
    with _lock:
        function = _functions.setdefault(key, _Function(owner, name))
        function.enter()
    stack = function.stack()
    stack.append(make(stack[-1] if stack else function.original))
    try:
        yield
    finally:
        stack.pop()
        with _lock:
            if function.leave():
                del _functions[key]


@contextlib.contextmanager
def held(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Let an attribute have another value, in all threads, until the last block that asks for it ends."""
    key = id(owner), name
    with _lock:
        kept = _values.setdefault(key, _Value(owner, getattr(owner, name)))
        kept.users += 1
        setattr(owner, name, value)
    try:
        yield
    finally:
        with _lock:
            kept.users -= 1
            if not kept.users:
                setattr(owner, name, kept.original)
                del _values[key]


class _Value:
    def __init__(self, owner: Any, original: Any) -> None:
        self.owner = owner  # kept alive, so that no other object gets its id
        self.original = original
        self.users = 0


class _Function:
    """A function that stands in for another one, and calls what the thread has chosen."""

    def __init__(self, owner: Any, name: str) -> None:
        self._owner = owner
        self._name = name
        self._is_own = name in vars(owner)
        self._users = 0
        self._local = threading.local()
        self.original = inspect.getattr_static(owner, name)

    def enter(self) -> None:
        if not self._users:
            setattr(self._owner, self._name, self._dispatching())
        self._users += 1

    def leave(self) -> bool:
        """Put the original back where this was the last user; say whether it was."""
        self._users -= 1
        if not self._users and self._is_own:
            setattr(self._owner, self._name, self.original)
        elif not self._users:
            delattr(self._owner, self._name)
        return not self._users

    def stack(self) -> list[Any]:
        if not hasattr(self._local, "stack"):
            self._local.stack = []
        return self._local.stack

    def _dispatching(self) -> Callable[..., Any]:
        @functools.wraps(self.original)
        def call(*args: Any, **kwargs: Any) -> Any:
            stack = self.stack()
            return (stack[-1] if stack else self.original)(*args, **kwargs)

        return call


_functions: dict[tuple[int, str], _Function] = {}
_values: dict[tuple[int, str], _Value] = {}

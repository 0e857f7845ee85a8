"""What must not be in use while the process forks: the child would inherit files half-way.

SQLite forbids a connection to cross a fork even unused, since a child does not inherit the locks that its
copy believes to hold. So each thing here comes to rest before a fork, and continues after it on both sides.
Threads that fork at the same time take turns.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from types import FrameType
from typing import Protocol

from unikeras._base.locks import LockRequest, NamedLocks
from unikeras.errors import StateError

# What a fork waits for, each the name of a lock: the use of a thing, a copy of it, and what is made anew.
USE, COPY, NEW = ("use",), ("copy",), ("new",)


class ForkRequest(LockRequest):
    """The request of a fork, in use while a thread is in its call of `os.fork`, where no frame of ours runs.

    Args:
        caller: the frame that forks.
    """

    def __init__(self, caller: FrameType) -> None:
        super().__init__(USE + COPY + NEW)
        self._call = (id(caller), caller.f_code, caller.f_lasti)

    def is_held_by(self, frame: FrameType) -> bool:
        """Say whether a frame is the one that forks, at that very call."""
        return (id(frame), frame.f_code, frame.f_lasti) == self._call


class ForkAware(Protocol):
    """Something that must not be in use while the process forks."""

    def _before_fork(self, fork: ForkRequest) -> None:
        """Finish what runs in other threads, and let nothing begin while the request is in use."""

    def _after_fork(self, fork: ForkRequest, in_child: bool) -> None:
        """Undo `_before_fork`, in the parent or in the child; a thing that did not come to rest is told, too."""


_known: weakref.WeakSet[ForkAware] = weakref.WeakSet()
_gate = NamedLocks()  # one fork at a time; a thing that is new waits until it is over
_forking: dict[int, ForkRequest] = {}  # by thread


def watch(thing: ForkAware) -> None:
    """Bring a thing to rest before each fork to come."""
    _gate.run(NEW, lambda: _known.add(thing))


def _before() -> None:
    _after(False)  # an earlier one of this thread may have been interrupted
    fork = _forking[threading.get_ident()] = ForkRequest(sys._getframe(1))
    left: list[ForkAware] | None = None
    interrupted: BaseException | None = None
    while left is None or left:
        try:
            if left is None:
                _gate.enter(fork)
                left = list(_known)
            while left:
                left[-1]._before_fork(fork)
                left.pop()
        except (
            StateError
        ):  # a signal handler forks in the middle of a call; `_after_fork` deals with the child
            left = left[:-1] if left else []
        except (
            BaseException
        ) as error:  # the fork comes in any case, so Ctrl-C must not keep things from resting
            interrupted = error
    if interrupted is not None:
        raise interrupted


def _after(in_child: bool) -> None:
    fork = _forking.get(threading.get_ident())
    if fork is not None:
        for thing in list(_known):
            thing._after_fork(fork, in_child)
        _gate.leave(fork)
        _forking.pop(fork.thread, None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before, after_in_parent=lambda: _after(False), after_in_child=lambda: _after(True)
    )

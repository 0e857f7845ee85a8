"""What must not be in use while the process forks: the child would inherit locks and files half-way.

SQLite forbids a connection to cross a fork even unused, since a child does not inherit the locks that its
copy believes to hold. So each thing here comes to rest before a fork, and goes on after it on both sides.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Resting(Protocol):
    """Something that can come to rest."""

    def rest(self) -> None:
        """Finish what goes on in other threads, and let nothing begin."""

    def go_on(self, in_child: bool) -> None:
        """Undo `rest`, in the parent or in the child."""


_known: weakref.WeakSet[Resting] = weakref.WeakSet()
_at_rest: list[Resting] = []


def watch(thing: Resting) -> None:
    """Bring a thing to rest before each fork to come."""
    _known.add(thing)


def _before() -> None:
    for thing in list(_known):
        thing.rest()
        _at_rest.append(thing)


def _after(in_child: bool) -> None:
    while _at_rest:
        _at_rest.pop().go_on(in_child)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before, after_in_parent=lambda: _after(False), after_in_child=lambda: _after(True)
    )

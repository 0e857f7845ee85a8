"""Python values that a function reads besides its arguments: a kind of call, as the arguments are.

A traced program keeps the numbers, flags and objects that its Python saw in attributes, enclosing functions and
globals. So a call that would see others is another kind of call, and is traced anew. That does not help where the
function itself changes a value: it changes once for each trace, and a warning says so.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from unikeras.functions import _source
from unikeras.functions._call_arguments import exact, is_plain
from unikeras.functions._captured_reads import Reads
from unikeras.functions._places import MISSING, Cell, Contents, Entry, Place


class Seen:
    """What the captured values of a function were: what a program is valid for. Equal ones share programs.

    Attributes:
        places: where the values were.
        values: the values, such that equal ones are the same to a program.
    """

    def __init__(self, places: Sequence[Place], values: Sequence[Any]) -> None:
        self.places = tuple(places)
        self.values = tuple(values)
        self._hash = hash(self.values)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Seen) and self.values == other.values)

    def __hash__(self) -> int:
        return self._hash


class Captured:
    """The values that a function reads besides its arguments.

    Args:
        f: the function.
    """

    def __init__(self, f: Callable[..., Any]) -> None:
        self._f = f
        self._ignored: dict[Any, Place] = {}  # those that the function changes
        self._before: dict[Any, Any] = {}
        self._runs = 0
        self._arguments: Mapping[str, Any] = {}
        self._reads = Reads(f)
        self._last: tuple[list[Any], Seen]
        self._arrange({})

    @property
    def may_change(self) -> bool:
        """Whether the function has a line that stores to what it reads."""
        return any(place.name in self._reads.stores for place in self._places)

    def now(self) -> Seen:
        """Return what the values are; the same object as long as they are the same objects."""
        values, (last, seen) = self._values(), self._last
        if len(values) != len(last) or not all(map(operator.is_, values, last)):
            seen = Seen(self._places, [exact(place.read()) for place in self._places])
            self._last = values, seen
        return seen

    def begin(self, arguments: Mapping[str, Any]) -> bool:
        """Begin to look at what a trace, or a run, changes; return whether the values are others than before.

        Args:
            arguments: objects that the function is called with, by the names of its parameters.
        """
        self._runs = 0
        if not arguments:
            return False
        known = self._identities()
        self._arguments = arguments
        self._reads = Reads(self._f, arguments)
        self._arrange({place.identity: place for place in self._places})
        return known != self._identities()

    def before_run(self, keeps: bool = False) -> None:
        """Let a run of the function see what the one before it saw, if one trace runs the function more than once.

        Args:
            keeps: the run before created variables, and what it left behind belongs to them.
        """
        if not self._runs or keeps:
            every = [*self._places, *self._ignored.values()]
            self._before = {place.identity: place.read() for place in every}
        else:
            for place, before in [
                *self._find_changed(self._places),
                *self._find_changed(self._ignored.values()),
            ]:
                if place.name in self._reads.stores:
                    place.restore(before)
        self._runs += 1

    def finish(self, warns: bool, look_again: bool = True) -> bool:
        """Look at what was changed, and warn of it; return whether the values are others than before.

        Args:
            warns: whether a value that the function changes is warned of.
            look_again: look for values in objects that were not there before the run.
        """
        changed = self._find_changed(self._places)
        stored = [(place, before) for place, before in changed if place.name in self._reads.stores]
        for place, before in stored:
            if before is MISSING and isinstance(place, Entry):
                before = place.default
            if warns and _is_change(before, place.read()):
                self._warn(place)
            self._ignored[place.identity] = place
        known = self._identities()
        if look_again:
            self._reads = Reads(self._f, self._arguments)
            for identity, place in self._reads.places.items():
                if identity not in known and place.name in self._reads.stores:
                    self._ignored[identity] = place  # the run made it
        self._arrange({place.identity: place for place in self._places})
        return known != self._identities()

    def _identities(self) -> set[Any]:
        return {place.identity for place in self._places}

    def convert(self, seen: Seen) -> Seen:
        """Return what an earlier call saw in the places that count now; in a new one it is what that holds now."""
        old = {place.identity: value for place, value in zip(seen.places, seen.values, strict=True)}
        return Seen(
            self._places,
            [old[place.identity] if place.identity in old else exact(place.read()) for place in self._places],
        )

    def _find_changed(self, places: Iterable[Place]) -> list[tuple[Place, Any]]:
        pairs = [(place, self._before[place.identity]) for place in places if place.identity in self._before]
        return [(place, before) for place, before in pairs if exact(place.read()) != exact(before)]

    def _warn(self, place: Place) -> None:
        warnings.warn(
            f"{_source.name(self._f)} changes {place.name!r} ({place.of}) at {self._reads.stores[place.name]}. That is "
            "Python's, and a compiled function runs its Python when it is traced, not at each call (under uk.debug, at "
            "each call). Keep it in a keras.Variable, and change it with assign",
            UserWarning,
            stacklevel=6,
        )

    def _arrange(self, known: dict[Any, Place]) -> None:
        """Sort the places such that those of one sort are read in one go."""
        every = [place for key, place in {**known, **self._reads.places}.items() if key not in self._ignored]
        filled = [place for place in every if place.read() is not MISSING]
        cells = [place for place in filled if isinstance(place, Cell)]
        entries = [place for place in filled if isinstance(place, Entry) and type(place.holder) is dict]
        self._cells = [place.holder for place in cells]
        self._entries = [place.holder for place in entries], [place.key for place in entries]
        self._others = [place for place in every if place not in {*cells, *entries}]
        self._places = every
        self._last = [], Seen(every, [exact(place.read()) for place in every])

    def _values(self) -> list[Any]:
        """Return all values in one flat list, fast: this is what each call costs."""
        values: list[Any] = []
        try:
            values += map(operator.getitem, *self._entries)
            values += map(_cell_contents, self._cells)
        except (KeyError, ValueError):  # something is gone: what is read here is like nothing before
            return [object()]
        for place in self._others:
            if isinstance(place, Contents):
                values += place.read()
                values.append(place)  # where its contents end
            else:
                values.append(place.read())
        return values


_cell_contents = operator.attrgetter("cell_contents")


def _is_change(before: Any, after: Any) -> bool:
    """Say whether a number, flag or text has become another, here or in a container."""
    if isinstance(before, tuple) and isinstance(after, tuple) and len(before) == len(after):
        return all(exact(a) == exact(b) or _is_change(a, b) for a, b in zip(before, after, strict=True))
    return is_plain(before) and is_plain(after)

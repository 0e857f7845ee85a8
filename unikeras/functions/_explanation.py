"""What `f.explain` and `f.programs` return: plain data, and text for a terminal."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from unikeras._base.notebook_html import preformatted
from unikeras._specs.graph_nodes import Graph

_WIDTH = 100
_LONGEST = 60  # variables that a text lists


@dataclasses.dataclass(frozen=True)
class ProgramDescription:
    """One program of a `uk.function`.

    Attributes:
        signature: the calls that it serves, in words; an axis of None has any size.
        cause: what made it: the first call, or how its call differs from that of the program before.
        reads: paths of the variables whose values it takes: weights, optimizer slots, metrics, seeds.
        writes: paths of the variables that it gives new values.
        in_place: paths of those of them whose memory it changes, or gives away (JAX: donates), while it runs.
        operators: how many operators of each name its graph has.
        removed: how many operators each pass over the graph removed or changed, by the pass's name (PyTorch).
    """

    signature: str
    cause: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    in_place: tuple[str, ...]
    operators: Mapping[str, int]
    removed: Mapping[str, int]

    def __str__(self) -> str:
        return "\n".join([self.signature, *self._lines()])

    def _repr_html_(self) -> str:
        return preformatted(str(self))

    def _lines(self) -> Iterator[str]:
        yield from _row("made by", self.cause)
        both = set(self.reads) & set(self.writes)
        yield from _row("updates", _listed(path for path in self.writes if path in both))
        yield from _row("reads", _listed(path for path in self.reads if path not in both))
        yield from _row("writes", _listed(path for path in self.writes if path not in both))
        yield from _row("in place", self._shown_in_place())
        yield from _row("operators", _counted(self.operators))
        if self.removed:
            yield from _row("removed", _counted(self.removed))

    def _shown_in_place(self) -> str:
        others = [path for path in self.writes if path not in self.in_place]
        if not self.in_place or not others:
            return "all that it writes" if self.in_place else "none"
        return (
            f"all that it writes but {_listed(others)}"
            if len(others) < len(self.in_place)
            else _listed(self.in_place)
        )


@dataclasses.dataclass(frozen=True)
class FunctionProgram(ProgramDescription):
    """A program that exists, with its graph."""

    _text: Callable[[], str] = dataclasses.field(repr=False, compare=False)
    _graph: Callable[[], Graph] = dataclasses.field(repr=False, compare=False)

    def text(self) -> str:
        """Return the graph as text, in the framework's own form: a FuncGraph, an ATen graph or a jaxpr."""
        return self._text()

    def graph(self) -> Graph:
        """Return the graph in the form that is the same for all backends; `uk.graph` draws it."""
        return self._graph()

    def plain(self) -> ProgramDescription:
        """Return the description without the graph."""
        names = [field.name for field in dataclasses.fields(ProgramDescription)]
        return ProgramDescription(**{name: getattr(self, name) for name in names})


@dataclasses.dataclass(frozen=True)
class Explanation:
    """How one call of a `uk.function` runs.

    Attributes:
        function: the function's name.
        backend: the backend that runs it.
        call: the arguments of the call, in words.
        traced: whether a program runs the call.
        reason: why no program does, with the file, the line and the call; "" where one does.
        advice: what to do about it; "" where there is nothing to do.
        program: the program that runs the call; None where there is none.
        exists: whether that program was there before; else the call makes it.
        created: paths of the variables that the call would create.
        programs: the programs that exist, in the order in which they were made.
    """

    function: str
    backend: str
    call: str
    traced: bool
    reason: str
    advice: str
    program: ProgramDescription | None
    exists: bool
    created: tuple[str, ...]
    programs: tuple[ProgramDescription, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as dictionaries, lists, texts and numbers."""
        return dict(json.loads(self.to_json()))

    def to_json(self) -> str:
        """Return all of it as one JSON document."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        return preformatted(str(self))

    def _lines(self) -> Iterator[str]:
        how = "traced" if self.traced else "not traced"
        yield from _wrapped(f"{self.function} on {self.backend}: {how}", "")
        yield from _row("call", self.call or "no arguments")
        if self.reason:
            yield from _row("because", self.reason)
        if self.advice:
            yield from _row("advice", self.advice)
        if self.program:
            yield from _row("program", "exists" if self.exists else "the call makes it")
            yield from self.program._lines()
        if self.created:
            yield from _row("created", f"would be created: {_listed(self.created)}")
        yield from _row("programs", str(len(self.programs)) if self.programs else "none yet")
        for number, program in enumerate(self.programs, 1):
            yield from _wrapped(f"{number}. {program.signature}: {program.cause}", " " * 12)


def _row(title: str, text: str) -> Iterator[str]:
    yield from _wrapped(f"  {title:<10}{text}", " " * 12, first="")


def _wrapped(text: str, indent: str, first: str | None = None) -> Iterator[str]:
    yield from textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )


def _listed(paths: Iterable[str]) -> str:
    every = list(paths)
    if not every:
        return "none"
    more = f" and {len(every) - _LONGEST} more" if len(every) > _LONGEST else ""
    return f"{len(every)}: {', '.join(every[:_LONGEST])}{more}"


def _counted(counts: Mapping[str, int]) -> str:
    if not counts:
        return "none"
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return f"{sum(counts.values())}: " + ", ".join(f"{name} {count}" for name, count in ordered)

"""What a benchmark is asked for, checked before a process starts; all problems are reported at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from unikeras import backends
from unikeras.errors import ArgumentValueError, UnikerasError
from unikeras.export import check_formats

# What a model is measured against on its own backend.
REFERENCES = ("keras", "hand-written")


@dataclass(frozen=True)
class Request:
    """What to measure, and for how long.

    Attributes:
        backends: names of backends.
        formats: names of formats.
        batch_sizes: numbers of rows.
        tasks: `"train"`, `"predict"` or both.
        references: names of `REFERENCES`.
        rounds: how often each row gets its turn.
        seconds: for how long in a turn.
        timeout: seconds for one call of a process; None for no limit.
    """

    backends: tuple[str, ...]
    formats: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    tasks: tuple[str, ...]
    references: tuple[str, ...]
    rounds: int
    seconds: float
    timeout: float | None


class Problems:
    """Collects what is wrong, to report all of it in one error."""

    def __init__(self) -> None:
        self.found: list[UnikerasError] = []

    def add(self, text: str) -> None:
        """Note a problem."""
        self.found.append(ArgumentValueError(text))

    def check(self, f: Any, *args: Any) -> Any:
        """Return what a function returns; note the error of ours that it raises, and return None."""
        try:
            return f(*args)
        except UnikerasError as error:
            self.found.append(error)
            return None

    def report(self) -> None:
        """Raise the one problem as it is, or several as one ArgumentValueError, a line for each."""
        if len(self.found) == 1:
            raise self.found[0]
        if self.found:
            lines = "".join(f"\n- {error}" for error in self.found)
            raise ArgumentValueError(f"the benchmark cannot start for {len(self.found)} reasons:{lines}")


def names_of(label: str, names: str | Iterable[str] | None, problems: Problems) -> list[str]:
    """Return names without those that are named twice, which is a problem."""
    listed = [names] if isinstance(names, str) else list(names or ())
    twice = sorted({str(name) for name in listed if listed.count(name) > 1})
    if twice:
        problems.add(f"{label} named twice: {', '.join(twice)}")
    return list(dict.fromkeys(map(str, listed)))


def check_backends(names: str | Sequence[str] | None, problems: Problems) -> tuple[str, ...]:
    """Return the backends to measure; with None, or `"all"`, those that are installed."""
    if names is None or names in ("all", ["all"], ("all",)):
        return tuple(backends.available())
    listed = names_of("a backend is", names, problems)
    if not listed:
        problems.add("no backend is named; leave `backends` out to measure every installed one")
    for name in listed:
        problems.check(backends.check, name)
    return tuple(listed)


def check_artifacts(names: str | Sequence[str], problems: Problems) -> tuple[str, ...]:
    """Return the formats' own names; a format that cannot be written here becomes a row with the reason."""
    found = []
    for name in names_of("a format is", names, problems):
        try:
            found += check_formats([name])
        except ImportError:  # known, and its toolchain is missing: the row says so
            found.append(name)
        except UnikerasError as error:
            problems.found.append(error)
    if len(set(found)) < len(found):
        problems.add("a format is named twice, once by its suffix")
    return tuple(dict.fromkeys(found))


def check_batch_sizes(sizes: Iterable[Any], fixed: int | None, problems: Problems) -> tuple[int, ...]:
    """Return the batch sizes: whole numbers above 0, each once, and the model's own where it has a fixed one."""
    listed = list(sizes)
    wrong = [size for size in listed if not isinstance(size, int) or isinstance(size, bool) or size < 1]
    if wrong or not listed:
        came = ", ".join(map(repr, wrong)) or "none"
        problems.add(f"a batch size is a whole number above 0; received {came}")
        return ()
    if fixed is not None and (others := [size for size in listed if size != fixed]):
        problems.add(f"the model has a fixed batch size of {fixed}; received {', '.join(map(str, others))}")
    return tuple(dict.fromkeys(listed))

"""The chain of a source: which examples, in which order, and what is done to each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from unikeras._base.rank import rank, world
from unikeras.data import _keys
from unikeras.data._origins import Members, Origin
from unikeras.data._read_ahead import read
from unikeras.errors import DatasetError, UnikerasError


class Draws:
    """The generator of one example, made when a transform asks for it; all transforms of the example share it."""

    def __init__(self, seed: int, epoch: int, index: int) -> None:
        self._key = (seed, epoch, index)
        self.index = index
        self._generator: np.random.Generator | None = None

    @property
    def generator(self) -> np.random.Generator:
        if self._generator is None:
            self._generator = _keys.example_generator(*self._key)
        return self._generator


class Step(Protocol):
    """What is done to one example.

    Attributes:
        name: how error messages and states show it, such as `map(normalize)`.
        is_random: whether the result depends on the epoch.
    """

    name: str
    is_random: bool

    def apply(self, example: Any, draws: Draws) -> Any: ...


@dataclass(frozen=True)
class Order:
    """The examples of one epoch.

    Attributes:
        indices: numbers in the origin, int64, shape (examples,).
        passes: which pass over the data each belongs to, int64, shape (examples,); random transforms draw by it.
    """

    indices: np.ndarray
    passes: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True)
class Chain:
    """What a source is; immutable. Which examples it has never changes; their order does from epoch to epoch.

    Attributes:
        origin: where examples come from.
        members: which of them.
        steps: what is done to each, in order.
        seed: of order and random transforms.
        shuffled: whether each epoch has an order of its own.
        repeats: how many passes over the members make an epoch.
        threads: how many read ahead.
        names: its parts in order, for error messages and states.
    """

    origin: Origin
    members: Members
    steps: tuple[Step, ...] = ()
    seed: int = 0
    shuffled: bool = False
    repeats: int = 1
    threads: int = 0
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.members.indices) * self.repeats

    def with_step(self, step: Step) -> Chain:
        if self.batch_transforms:
            raise DatasetError(
                f"{step.name} would come before the mixing of {self.describe()}, which needs a batch; "
                "let transforms that mix be the last step before .batch"
            )
        return replace(self, steps=(*self.steps, step), names=(*self.names, step.name))

    def with_members(self, name: str, find: Callable[[], np.ndarray]) -> Chain:
        """Return a chain of other members; they are looked for at first use."""
        return replace(self, members=Members(find), names=(*self.names, name))

    def describe(self) -> str:
        """Return the parts of the chain as one line."""
        return " -> ".join([self.origin.name, *self.names])

    def identity(self) -> dict[str, Any]:
        """Return what tells this chain from others, as JSON data."""
        return {"examples": len(self), "chain": self.describe(), "data": self.origin.identity()}

    @property
    def batch_transforms(self) -> tuple[Any, ...]:
        """What mixes the examples of a batch."""
        return tuple(one for step in self.steps for one in getattr(step, "batch_transforms", ()))

    @property
    def is_random(self) -> bool:
        return any(step.is_random for step in self.steps)

    def order(self, epoch: int, shuffled: bool = True) -> Order:
        """Return the examples of an epoch in order: those of this process, where several train together.

        Args:
            epoch: from 0.
            shuffled: False for the order before any shuffle.
        """
        members = self.members.indices
        indices, passes = [], []
        for number in range(epoch * self.repeats, (epoch + 1) * self.repeats):
            if self.shuffled and shuffled:
                indices.append(members[_keys.permutation(len(members), self.seed, number)])
            else:
                indices.append(members)
            passes.append(np.full(len(members), number, np.int64))
        together = Order(np.concatenate(indices), np.concatenate(passes))
        if world() == 1:
            return together
        # Processes must take the same number of steps; what is left over of an epoch is left out.
        share = slice(rank(), len(together) // world() * world(), world())
        return Order(together.indices[share], together.passes[share])

    def each(self, look: Callable[[Any], Any], name: str) -> Iterator[Any]:
        """Yield what a function finds in each example, before any shuffle.

        Args:
            look: takes an example.
            name: what to call it, where it fails.

        Raises:
            DatasetError: an example cannot be loaded or looked at.
        """
        members = self.members.indices

        def find(number: int) -> Any:
            index = int(members[number])
            example = self.load(index, 0)
            try:
                return look(example)
            except UnikerasError:
                raise
            except Exception as error:
                raise DatasetError(
                    f"{name} failed at example {index} of {self.origin.name}: {type(error).__name__}: {error}"
                ) from error

        return read(find, 0, len(members), self.threads)

    def load(self, index: int, epoch: int) -> Any:
        """Return one example after all steps.

        Args:
            index: its number in the origin.
            epoch: the pass that random transforms draw for.

        Raises:
            DatasetError: the origin or a step raised; it names the example.
        """
        draws = Draws(self.seed, epoch, index)
        doing: Any = self.origin
        try:
            begin, example = self._cached(index)
            for doing in self.steps[begin:]:
                example = doing.apply(example, draws)
        except UnikerasError as error:
            error.add_note(f"at example {index} of {self.origin.name}, in {doing.name}")
            raise
        except Exception as error:
            raise DatasetError(
                f"{doing.name} failed at example {index} of {self.origin.name}: {type(error).__name__}: {error}"
            ) from error
        return example

    def _cached(self, index: int) -> tuple[int, Any]:
        """Return the first step that is still to do, and the example before it."""
        for number in reversed(range(len(self.steps))):
            recall: Callable[[int], Any] | None = getattr(self.steps[number], "recall", None)
            if recall is not None and (found := recall(index)) is not None:
                return number + 1, found
        return 0, self.origin.example(index)

    def rows(self, indices: np.ndarray) -> Any:
        """Return many examples at once where no step stands in between, else None."""
        return None if self.steps else self.origin.rows(indices)

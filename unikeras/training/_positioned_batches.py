"""Batches from a position on: what a training run needs that is to go on after a kill."""

from __future__ import annotations

import itertools
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

from unikeras import backends
from unikeras._keras.ordered_arrays import OrderedArrays, arrays_of
from unikeras.data import permutation
from unikeras.errors import ArgumentError, ArgumentValueError
from unikeras.training._batches import Batches


class Passes(ABC):
    """A data source that is read from the beginning to the end, several times, and from any batch on.

    Attributes:
        adapter: what Keras makes of the source.
        shuffles: whether a pass has an order of its own; "batch" for one inside of each batch only.
        first: the pass and the batch that fit begins with.
    """

    adapter: Any
    shuffles: bool | str = False
    first: tuple[int, int] = (0, 0)

    @abstractmethod
    def read(self, number: int, start: int) -> Iterable[Any]:
        """Return the batches of one pass from a batch on.

        Args:
            number: of the pass, from 0.
            start: the first batch to return, from 0.
        """

    @property
    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What else decides the batches that come: plain JSON data and numpy arrays."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Take `state` back."""

    def begin_epoch(self) -> None:  # noqa: B027 - arrays have nothing to do
        """Tell the source that an epoch begins."""

    def hand_out(self, count: int) -> None:  # noqa: B027
        """Tell the source that the loop has so many more batches."""

    def end_epoch(self) -> None:  # noqa: B027
        """Tell the source that an epoch has ended."""


class ArrayPasses(Passes):
    """Arrays. The order of a pass is a pure function of a seed and the pass's number."""

    def __init__(self, adapter: Any) -> None:
        # From numpy's generator, so that `keras.utils.set_random_seed` decides.
        self.seed = int(np.random.randint(2**31))
        self.adapter = OrderedArrays(adapter, self._rows)
        self.shuffles = self.adapter.shuffles
        self._number = self._start = 0

    def read(self, number: int, start: int) -> Iterable[Any]:
        self._number, self._start = number, start
        return backends.current().batches(self.adapter)

    @property
    def state(self) -> dict[str, Any]:
        return {"seed": self.seed}

    def restore(self, state: dict[str, Any]) -> None:
        self.seed = int(state["seed"])

    def _rows(self) -> Iterator[Any]:
        count, size, shuffles = self.adapter.num_samples, self.adapter.batch_size, self.shuffles
        number, start = self._number, self._start
        batches = self.adapter.num_batches
        order = permutation(count, self.seed, number) if shuffles is True else None
        for index in range(start, batches):
            begin, end = index * size, min((index + 1) * size, count)
            if order is not None:
                yield order[begin:end]
            elif shuffles == "batch":
                yield begin + permutation(end - begin, self.seed, number * batches + index)
            else:
                yield slice(begin, end)


class DatasetPasses(Passes):
    """A `keras.utils.PyDataset` whose batches are a function of their number, or that has a state."""

    def __init__(self, adapter: Any) -> None:
        self.adapter, self._dataset = adapter, adapter.py_dataset
        self.shuffles = bool(adapter.shuffle)
        self.seed = int(np.random.randint(2**31))
        self._has_state = has_state(self._dataset)

    def read(self, number: int, start: int) -> Iterable[Any]:
        count = self.adapter.num_batches
        if count is None:
            numbers: Iterable[int] = itertools.count(start)
        elif self.shuffles:
            numbers = permutation(count, self.seed, number)[start:].tolist()
        else:
            numbers = range(start, count)
        # Not by workers, and none ahead: what a batch draws from global generators has to be in step with the loop.
        return (self.adapter._standardize_batch(self._dataset[index]) for index in numbers)

    @property
    def state(self) -> dict[str, Any]:
        return {"seed": self.seed, **({"dataset": self._dataset.state} if self._has_state else {})}

    def restore(self, state: dict[str, Any]) -> None:
        self.seed = int(state["seed"])
        if self._has_state:
            self._dataset.restore(state["dataset"])

    def begin_epoch(self) -> None:
        self._dataset.on_epoch_begin()

    def end_epoch(self) -> None:
        self._dataset.on_epoch_end()


class SourcePasses(Passes):
    """A source of `uk.data`, which has a position and an order of its own."""

    def __init__(self, adapter: Any) -> None:
        self.adapter, self._source = adapter, adapter.py_dataset
        reading = self._source.begin()
        self.first = reading.epoch, reading.start

    def read(self, number: int, start: int) -> Iterable[Any]:
        self._source.restore({**self._source.state, "epoch": number, "batch": start})
        return backends.current().batches(self.adapter)

    @property
    def state(self) -> dict[str, Any]:
        return {"source": self._source.state}

    def restore(self, state: dict[str, Any]) -> None:
        self._source.restore({**state["source"], "epoch": state["pass"], "batch": state["batch"]})

    def hand_out(self, count: int) -> None:
        self.adapter.hand_out(count)

    def end_epoch(self) -> None:
        self.adapter.on_epoch_end()


def has_state(value: Any) -> bool:
    """Say whether an object obeys the state protocol: a property `state` and a method `restore`."""
    return hasattr(type(value), "state") and callable(getattr(value, "restore", None))


def passes_of(adapter: Any) -> Passes:
    """Return the passes over what Keras' adapter reads.

    Raises:
        ArgumentError: the source has no position, so that no run can go on in the middle of it.
        ArgumentValueError: it is read by workers, or changes between epochs.
    """
    if arrays_of(adapter) is not None:
        return ArrayPasses(adapter)
    dataset = getattr(adapter, "py_dataset", None)
    if dataset is None:
        raise ArgumentError(
            f"training data of a {_source_name(adapter)} has no position, so that fit cannot go on in the middle of "
            "it; pass arrays, a keras.utils.PyDataset, or uk.data.from_source(...) of a dataset that has a length "
            "and returns examples by their number"
        )
    if hasattr(adapter, "hand_out"):
        return SourcePasses(adapter)
    _check_dataset(dataset, adapter.enqueuer is not None)
    return DatasetPasses(adapter)


def check_validation(adapter: Any) -> None:
    """Refuse validation data that would be another after a resume.

    Raises:
        ArgumentError: it is a generator.
    """
    if type(adapter).__name__ == "GeneratorDataAdapter":
        raise ArgumentError(
            "validation data of a generator goes on from validation to validation and has no position; pass arrays or "
            "a data set"
        )


def _check_dataset(dataset: Any, has_workers: bool) -> None:
    name = type(dataset).__name__
    if has_workers:
        raise ArgumentValueError(
            f"{name} is read ahead by workers, which have no position; pass workers=1, or "
            "uk.data.from_source(...).prefetch(threads=...)"
        )
    base = keras.utils.PyDataset
    changes = [
        n for n in ("on_epoch_begin", "on_epoch_end") if getattr(type(dataset), n) is not getattr(base, n)
    ]
    if changes and not has_state(dataset):
        raise ArgumentValueError(
            f"{name}.{changes[0]} may change the batches, and a run that goes on would not know how; give {name} a "
            "property `state` (numbers, text, lists, numpy arrays) and a method `restore(state)`"
        )


def _source_name(adapter: Any) -> str:
    return {
        "TFDatasetAdapter": "tf.data.Dataset",
        "TorchDataLoaderAdapter": "torch DataLoader",
        "GeneratorDataAdapter": "generator",
        "GrainDatasetAdapter": "grain dataset",
    }.get(type(adapter).__name__, type(adapter).__name__)


class PositionedBatches:
    """What `Batches` is, from a position on.

    Args:
        batches: Keras' view of the data.

    Attributes:
        number: the pass over the data that is read.
        seen: how many batches of it have been read.
    """

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self.passes = passes_of(batches.data_adapter)
        self.steps_per_epoch: int | None = batches.steps_per_epoch
        self.steps_per_execution: int = batches.steps_per_execution
        self.num_batches: int | None = batches.num_batches
        self._count: int | None = batches.data_adapter.num_batches
        self._iterator: Iterator[Any] | None = None
        (self.number, self.seen), self._first_step = self.passes.first, 0

    def look_up(self) -> Any:
        """Return what `Batches.look_up` does."""
        return self._batches.look_up()

    def example(self) -> Any:
        """Return a batch; the position is the first one afterwards."""
        found = self.look_up()
        if found is None:
            found = next(iter(self))[2][0]
            self.reset()
        return found

    def reset(self) -> None:
        """Go back to the first batch of the first pass: who has looked at a batch has not moved the position."""
        self._rewind()
        self.passes.end_epoch()

    @property
    def state(self) -> dict[str, Any]:
        """The pass, the batch and what decides their order."""
        return {"pass": self.number, "batch": self.seen, **self.passes.state}

    def restore(self, state: dict[str, Any], step: int) -> None:
        """Go on from a state.

        Args:
            state: what `state` was.
            step: how many batches of the epoch have been trained on.
        """
        self.number, self.seen, self._first_step = int(state["pass"]), int(state["batch"]), step
        self._iterator = None
        self.passes.restore(state)

    def __iter__(self) -> Iterator[tuple[int, int, list[Any]]]:
        step, self._first_step = self._first_step, 0
        if step == 0:
            self.passes.begin_epoch()
        steps = self.steps_per_epoch or self._count
        while steps is None or step < steps:
            data = self._take()
            if not data:
                self._tell_end()
                break
            yield step, step + self.steps_per_execution - 1, data
            step += self.steps_per_execution
        if self.steps_per_epoch is None or (self._count and self.seen >= self._count):
            self._next_pass()
        self.passes.end_epoch()

    def _take(self) -> list[Any]:
        if self._iterator is None:
            self._iterator = iter(self.passes.read(self.number, self.seen))
        data = list(itertools.islice(self._iterator, self.steps_per_execution))
        self.seen += len(data)
        self.passes.hand_out(len(data))
        return data

    def _tell_end(self) -> None:
        if self.steps_per_epoch:
            warnings.warn(
                "Your input ran out of data; the epoch ends here. Its source has to have at least "
                "`steps_per_epoch * epochs` batches.",
                stacklevel=4,
            )
        if self._count is None:
            self._count = self.seen
            self.num_batches = self.num_batches or self.seen

    def _next_pass(self) -> None:
        self.number, self.seen, self._iterator = self.number + 1, 0, None

    def _rewind(self) -> None:
        (self.number, self.seen), self._first_step = self.passes.first, 0
        self._iterator = None

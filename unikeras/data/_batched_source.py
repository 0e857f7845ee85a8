"""A source of batches: what fit, evaluate and predict take."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras

from unikeras._keras import hooks
from unikeras.data import _examples
from unikeras.data._batch_plan import BatchOptions, Measured, Part, Plan, check_lengths, has_one_array
from unikeras.data._chain import Chain
from unikeras.data._chain_steps import call, check_callable, name_of
from unikeras.data._counts import check_count, check_index
from unikeras.data._keys import batch_generator
from unikeras.data._labels import class_weight_of
from unikeras.data._padded import stack_padded
from unikeras.data._position import Position, Reading, check_state
from unikeras.data._read_ahead import read
from unikeras.data._source_adapter import adapting_sources
from unikeras.errors import DatasetError, UnikerasError

# What chooses and orders examples has no meaning for batches.
_BEFORE_BATCH = ("augment", "cache", "filter", "repeat", "shuffle", "split", "take")


def _install() -> None:
    hooks.use("keras.src.trainers.data_adapters.get_data_adapter", adapting_sources)


class BatchedSource(keras.utils.PyDataset):
    """Batches of a source, as numpy arrays; `Source.batch` makes it.

    Each iteration is the next epoch. `source[i]` is batch i of the current one. `fit` moves the epoch; `evaluate`,
    `predict` and validation read the examples in their order before any shuffle, and move nothing.

    Args:
        chain: which examples, in which order.
        options: how they become batches.
        maps: functions of a batch.
        threads: how many read ahead.

    Source: keras.utils.PyDataset, of which it is one; `workers` has no effect, `prefetch` has.

    Example:
        >>> import numpy as np, unikeras as uk
        >>> batches = uk.data.from_arrays(np.arange(5)).batch(2)
        >>> [x.tolist() for x in batches], batches.state["epoch"]
        ([[0, 1], [2, 3], [4]], 1)
    """

    def __init__(
        self,
        chain: Chain,
        options: BatchOptions,
        maps: tuple[Callable[..., Any], ...] = (),
        threads: int | None = None,
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        _install()
        self._chain = chain
        self._options = options
        self._maps = maps
        self._threads = chain.threads if threads is None else threads
        self._position = Position()
        self._plans: dict[tuple[int, bool], Plan] = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        _install()

    def __getattr__(self, name: str) -> Any:
        if name in _BEFORE_BATCH:
            raise AttributeError(f".{name} has to come before .batch: it is of examples, not of batches")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # What it has

    def __len__(self) -> int:
        """Return how many batches an epoch has."""
        return self._count

    def __getitem__(self, index: int) -> Any:
        """Return one batch of the current epoch.

        Args:
            index: from 0 to the length less 1; a negative one counts from the end.

        Raises:
            ArgumentError: it is no integer.
            IndexError: there is no such batch.
        """
        plan = self._plan(self._position.epoch, True)
        number = check_index(index, len(plan), "batch")
        return self._make(plan.part(number), self._position.epoch, number)

    @property
    def batch_size(self) -> int:
        """How many examples a batch has."""
        return self._options.size

    @property
    def next_batch(self) -> int:
        """The first batch of the next iteration: 0, but for a source that was restored."""
        return self._position.next_batch

    @property
    def is_padded(self) -> bool:
        """Whether batches may differ in the length of their sequences."""
        return self._options.pad is not None

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes that labels stand for, where the data has such."""
        return self._chain.origin.classes

    def __repr__(self) -> str:
        return f"<source: {len(self)} batches of {self._options.size}, {self._chain.describe()}>"

    # What is done to batches

    def map(self, function: Callable[..., Any]) -> BatchedSource:
        """Let a function make another batch of each.

        Args:
            function: takes `x`, `x, y` or `x, y, sample_weight` as numpy arrays of shape (batch, ...); returns a batch.

        Returns:
            A new source.

        Raises:
            ArgumentError: it cannot be called.
        """
        check_callable(function, "map")
        return BatchedSource(self._chain, self._options, (*self._maps, function), self._threads)

    def prefetch(self, threads: int = 4) -> BatchedSource:
        """Let threads read ahead; order, draws and state stay the same.

        Args:
            threads: how many; 0 to read only what is asked for.

        Returns:
            A new source.

        Raises:
            ArgumentError: it is no integer.
            ArgumentValueError: it is negative.
        """
        return BatchedSource(self._chain, self._options, self._maps, check_count(threads, "threads", least=0))

    def class_weight(self) -> dict[int, float]:
        """Return the weight of each class, as `Source.class_weight` does.

        Returns:
            A weight by the number of each class.

        Raises:
            DatasetError: the examples have no labels that are integers or one-hot rows.
        """
        return class_weight_of(self._chain)

    # Where it stands

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches of the next epoch, or the rest of the one that was restored."""
        return self._position.iterate(self.read_epoch)

    def begin(self) -> Reading:
        """Begin the next iteration, for a loop that counts batches by itself.

        Returns:
            The epoch, its first batch, and what moves the position.
        """
        return self._position.begin()

    @property
    def state(self) -> dict[str, Any]:
        """Epoch, batches handed out in it, seed, and what the source is: plain JSON data."""
        position = {"epoch": self._position.epoch, "batch": self._position.batch}
        return {**position, "seed": self._chain.seed, "source": self._identity}

    def restore(self, state: dict[str, Any]) -> None:
        """Let the next iteration give the rest of the epoch in which a state was taken.

        Args:
            state: what `.state` of a source made the same way was. The number of threads may differ.

        Raises:
            ArgumentError: it is no state of a source.
            ArgumentValueError: epoch or batch are not possible.
            DatasetError: it is of another source; the differences are named.
        """
        expected = {"seed": self._chain.seed, **self._identity}
        self._position.restore(*check_state(state, expected, len(self)))

    def read_epoch(self, epoch: int, start: int = 0, shuffled: bool = True) -> Iterator[Any]:
        """Return the batches of one epoch, as a function of the arguments alone; the state stays as it is.

        Args:
            epoch: from 0.
            start: the first batch, from 0.
            shuffled: False for the order before any shuffle.

        Returns:
            An iterator of batches.
        """
        plan = self._plan(epoch, shuffled)
        return read(
            lambda number: self._make(plan.part(number), epoch, number), start, len(plan), self._threads
        )

    @functools.cached_property
    def _identity(self) -> dict[str, Any]:
        options = self._options
        return {
            **self._chain.identity(),
            "batch_size": options.size,
            "drop_remainder": options.drop_remainder,
            "pad": options.pad,
            "bucket": None if options.bucket is None else list(options.bucket),
            "keep": options.keep,
            "maps": [name_of(function) for function in self._maps],
        }

    @functools.cached_property
    def _count(self) -> int:
        return len(self._plan(0, False))

    @functools.cached_property
    def _measured(self) -> Measured | None:
        bucket = self._options.bucket
        if bucket is None and (self._options.keep in (None, "weight") or has_one_array(self._chain)):
            return None
        measured = Measured.of_chain(self._chain)
        if bucket is not None:
            check_lengths(measured, bucket)
        return measured

    def _plan(self, epoch: int, shuffled: bool) -> Plan:
        plan = self._plans.get((epoch, shuffled))
        if plan is None:
            plan = Plan(self._chain.order(epoch, shuffled), self._options, self._measured)
            if not len(plan):
                raise DatasetError(
                    f"there is no batch: {len(self._chain)} examples make no batch of {self._options.size}"
                    f"{' with drop_remainder=True' if self._options.drop_remainder else ''}; make the batch smaller"
                )
            self._plans = {(epoch, shuffled): plan}
        return plan

    def _make(self, part: Part, epoch: int, number: int) -> Any:
        batch = self._stack(part)
        mixing = self._chain.batch_transforms
        generator = batch_generator(self._chain.seed, epoch, number) if mixing else None
        for transform in mixing:
            batch = transform.apply_to_batch(batch, generator)
        for function in self._maps:
            try:
                batch = call(function, batch)
            except UnikerasError:
                raise
            except Exception as error:
                raise DatasetError(
                    f"map({name_of(function)}) failed at batch {number}: {type(error).__name__}: {error}"
                ) from error
        return batch

    def _stack(self, part: Part) -> Any:
        options = self._options
        rows = self._chain.rows(part.indices) if options.pad is None else None
        if rows is not None:
            return rows
        examples = [
            self._chain.load(int(index), int(epoch))
            for index, epoch in zip(part.indices, part.passes, strict=True)
        ]
        if options.pad is None:
            return _examples.stack(examples)
        sequences = None if self._measured is None else self._measured.is_sequence
        return stack_padded(examples, options.pad, part.length, sequences, options.keep)

"""A source of examples, and the chain of what is done to them."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from unikeras.data import _keys
from unikeras.data._chain import Chain
from unikeras.data._chain_steps import Augment, Cache, Map, call, check_callable, name_of
from unikeras.data._counts import check_count, check_index
from unikeras.data._examples import writable
from unikeras.data._labels import class_weight_of, labels_of, split_members
from unikeras.data._origins import check_not_empty
from unikeras.data._position import Position, check_state
from unikeras.data._read_ahead import read
from unikeras.errors import ArgumentError, ArgumentValueError, DatasetError


class Source:
    """Examples by number, in an order that is a function of seed and epoch; `uk.data.from_arrays` and others make it.

    An example is `x`, `(x, y)` or `(x, y, sample_weight)`; each part is an array or a dict, tuple or list of arrays.
    Each method returns a new source and leaves this one as it is. Which examples a source has never changes from epoch
    to epoch; only their order and random transforms do. `source[i]` is example i before any shuffle. Each iteration
    is the next epoch.

    Args:
        chain: what the source is.

    Example:
        >>> import numpy as np, unikeras as uk
        >>> source = uk.data.from_arrays(np.arange(4), np.arange(4) % 2)
        >>> [x.tolist() for x, y in source.map(lambda x, y: (x * 10, y)).batch(3)]
        [[0, 10, 20], [30]]
    """

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._position = Position()

    # What it has

    def __len__(self) -> int:
        """Return how many examples an epoch has."""
        return len(self._chain)

    def __getitem__(self, index: int) -> Any:
        """Return one example, before any shuffle, with the random transforms of the current epoch.

        Args:
            index: from 0 to the length less 1; a negative one counts from the end.

        Raises:
            ArgumentError: it is no integer.
            IndexError: there is no such example.
        """
        members, chain = self._chain.members.indices, self._chain
        which, number = divmod(check_index(index, len(self), "example"), len(members))
        return writable(chain.load(int(members[number]), self._position.epoch * chain.repeats + which))

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes that labels stand for, where the data has such."""
        return self._chain.origin.classes

    def __repr__(self) -> str:
        return f"<source: {len(self)} examples, {self._chain.describe()}>"

    # What is done to examples

    def map(self, function: Callable[..., Any]) -> Source:
        """Let a function make another example of each.

        Args:
            function: takes `x`, `x, y` or `x, y, sample_weight`, as the example is; returns an example. It must be a
                pure function, and is called from threads where `prefetch` has some.

        Returns:
            A new source.

        Raises:
            ArgumentError: it cannot be called.
        """
        check_callable(function, "map")
        return Source(self._chain.with_step(Map(function)))

    def filter(self, function: Callable[..., Any]) -> Source:
        """Keep the examples for which a function is true.

        All examples are read once, when the length is first needed.

        Args:
            function: takes an example as the function of `map` does; returns whether to keep it.

        Returns:
            A new source.

        Raises:
            ArgumentError: it cannot be called.
            DatasetError: the chain has random transforms, whose results differ from epoch to epoch; or, at first use,
                no example is kept.
        """
        check_callable(function, "filter")
        self._refuse_random("filter", "which examples there are")
        chain = self._chain

        def find() -> np.ndarray:
            members = chain.members.indices
            kept = list(
                chain.each(lambda example: bool(call(function, example)), f"filter({name_of(function)})")
            )
            if not any(kept):
                raise DatasetError(
                    f".filter({name_of(function)}) keeps none of {len(members)} examples; at least one is needed"
                )
            return members[np.array(kept)]

        return Source(chain.with_members(f"filter({name_of(function)})", find))

    def augment(self, *transforms: Any) -> Source:
        """Transform examples at random, anew in each epoch: draws are a function of (seed, epoch, index).

        Args:
            *transforms: of `uk.data.transforms`; or Keras' augmentation layers that have a transform of the same name;
                or functions that take the parts of an example and a `numpy.random.Generator` and return an example.
                Those that mix pictures, such as `MixUp`, come last, and work on batches.

        Returns:
            A new source.

        Raises:
            ArgumentError: something is no transform.
            ArgumentValueError: a layer has no transform.
            DatasetError: at an example, x is no picture.
        """
        if not transforms:
            raise ArgumentError(".augment takes at least one transform")
        return Source(self._chain.with_step(Augment(transforms)))

    def cache(self) -> Source:
        """Keep in memory what each example is here, from its first use on.

        Returns:
            A new source. Sources made from it share what is kept.

        Raises:
            DatasetError: the chain has random transforms, which would be frozen.
        """
        self._refuse_random("cache", "what is kept")
        return Source(self._chain.with_step(Cache()))

    # Which examples, and in which order

    def shuffle(self, seed: int = 0) -> Source:
        """Give each epoch an order of its own: a function of seed and epoch, the same on every backend.

        Args:
            seed: from 0 to 2**64 - 1; it is the seed of random transforms, too.

        Returns:
            A new source.

        Raises:
            ArgumentError: the seed is no integer.
            ArgumentValueError: the seed is out of range.
        """
        names = (*self._chain.names, "shuffle")
        return Source(replace(self._chain, seed=_keys.check_seed(seed), shuffled=True, names=names))

    def take(self, count: int) -> Source:
        """Keep the first examples: of the first epoch's order, and the same ones in each epoch.

        Args:
            count: how many.

        Returns:
            A new source.

        Raises:
            ArgumentError: the count is no integer.
            ArgumentValueError: it is less than 1.
            DatasetError: the source repeats its examples.
        """
        count = check_count(count, "count")
        chain = self._chain
        if chain.repeats > 1:
            raise DatasetError(".take has to come before .repeat")
        return Source(chain.with_members(f"take({count})", lambda: chain.order(0).indices[:count]))

    def repeat(self, count: int) -> Source:
        """Make an epoch of several passes over the examples; each has its own order and random transforms.

        Args:
            count: how many passes.

        Returns:
            A new source.

        Raises:
            ArgumentError: the count is no integer.
            ArgumentValueError: it is less than 1.
        """
        repeats = self._chain.repeats * check_count(count, "count")
        return Source(replace(self._chain, repeats=repeats, names=(*self._chain.names, f"repeat({count})")))

    def split(self, fraction: float, *, stratify: Any = None, seed: int | None = 0) -> tuple[Source, Source]:
        """Divide the examples into two sources that share none.

        Args:
            fraction: how much of the examples the first has, between 0 and 1.
            stratify: True to keep the share of each label in both parts; or an array with a class for each example.
            seed: chooses which examples go where; None to give the first examples to the first part, as for series.

        Returns:
            The two sources, each with at least one example.

        Raises:
            ArgumentError: an argument is of a wrong type.
            ArgumentValueError: the fraction is not between 0 and 1, or leaves a part empty.
            DatasetError: a class is too small for both parts, or examples have no labels.
        """
        if isinstance(fraction, bool) or not isinstance(fraction, numbers.Real):
            raise ArgumentError(f"fraction has to be a number; received {fraction!r}")
        if not 0 < fraction < 1:
            raise ArgumentValueError(f"fraction has to be between 0 and 1; received {fraction}")
        if seed is not None:
            seed = _keys.check_seed(seed)
        chain = self._chain
        classes = labels_of(chain) if stratify is True else stratify
        parts = split_members(chain.members.indices, float(fraction), classes, seed)
        name = f"split({fraction}, stratify={stratify is not None}, seed={seed})"
        return (
            Source(self._chain.with_members(f"{name}[0]", lambda: parts[0])),
            Source(self._chain.with_members(f"{name}[1]", lambda: parts[1])),
        )

    # How it is read

    def prefetch(self, threads: int = 4) -> Source:
        """Let threads read ahead; order, draws and state stay the same.

        Args:
            threads: how many; 0 to read only what is asked for.

        Returns:
            A new source.

        Raises:
            ArgumentError: it is no integer.
            ArgumentValueError: it is negative.
        """
        return Source(replace(self._chain, threads=check_count(threads, "threads", least=0)))

    def batch(
        self,
        size: int,
        *,
        drop_remainder: bool = False,
        pad: float | None = None,
        bucket: Sequence[int] | None = None,
        keep: str | None = None,
    ) -> Any:
        """Return batches: what fit, evaluate and predict take.

        Args:
            size: how many examples a batch has.
            drop_remainder: whether to leave out a last batch that is smaller.
            pad: the number that fills up sequences of unequal length; None where all have one shape.
            bucket: lengths, growing. Sequences are put together with others of the same bucket and filled up to its
                length; a longer one than the last is an error.
            keep: what else to return of padded sequences. "lengths" makes a dict `{"x": x, "lengths": lengths}` of x,
                or adds to it; "mask" likewise, True for real steps; "weight" makes a sample_weight of the mask.

        Returns:
            A `keras.utils.PyDataset` of batches, with `.state` and `.restore`.

        Raises:
            ArgumentError: an argument is of a wrong type.
            ArgumentValueError: a size is not positive, or arguments contradict each other.
            DatasetError: `drop_remainder` leaves no batch.
        """
        from unikeras.data._batch_plan import BatchOptions
        from unikeras.data._batched_source import BatchedSource

        options = BatchOptions.check(size, drop_remainder, pad, bucket, keep)
        return BatchedSource(self._chain, options)

    def class_weight(self) -> dict[int, float]:
        """Return the weight of each class for fit's `class_weight`: examples / (classes * examples of the class).

        Source: sklearn.utils.class_weight.compute_class_weight("balanced").

        Returns:
            A weight by the number of each class.

        Raises:
            DatasetError: the examples have no labels that are integers or one-hot rows.
        """
        return class_weight_of(self._chain)

    # Where it stands

    def __iter__(self) -> Iterator[Any]:
        """Yield the examples of the next epoch, or the rest of the one that was restored."""
        check_not_empty(len(self), self._chain.origin.name)
        return self._position.iterate(self.read_epoch)

    @property
    def state(self) -> dict[str, Any]:
        """Epoch, examples handed out in it, seed, and what the source is: plain JSON data."""
        position = {"epoch": self._position.epoch, "batch": self._position.batch}
        return {**position, "seed": self._chain.seed, "source": self._chain.identity()}

    def restore(self, state: dict[str, Any]) -> None:
        """Let the next iteration give the rest of the epoch in which a state was taken.

        Args:
            state: what `.state` of a source made the same way was.

        Raises:
            ArgumentError: it is no state of a source.
            ArgumentValueError: epoch or batch are not possible.
            DatasetError: it is of another source; the differences are named.
        """
        expected = {"seed": self._chain.seed, **self._chain.identity()}
        self._position.restore(*check_state(state, expected, len(self)))

    def read_epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Return the examples of one epoch, as a function of the arguments alone; the state stays as it is.

        Args:
            epoch: from 0.
            start: the first example, from 0.

        Returns:
            An iterator of examples.
        """
        order, chain = self._chain.order(epoch), self._chain

        def make(number: int) -> Any:
            return writable(chain.load(int(order.indices[number]), int(order.passes[number])))

        return read(make, start, len(order), chain.threads)

    def _refuse_random(self, method: str, what: str) -> None:
        if self._chain.is_random:
            raise DatasetError(
                f".{method} has to come before .augment: {what} must not differ from epoch to epoch; "
                f"the chain is {self._chain.describe()}"
            )

"""Which examples make which batch of an epoch, and how sequences of unequal length fit in one array."""

from __future__ import annotations

import bisect
import itertools
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unikeras.data import _examples
from unikeras.data._chain import Chain, Order
from unikeras.errors import ArgumentError, ArgumentValueError, DatasetError

KEPT = ("lengths", "mask", "weight")


@dataclass(frozen=True)
class BatchOptions:
    """How examples become batches; the arguments of `Source.batch`."""

    size: int
    drop_remainder: bool = False
    pad: float | None = None
    bucket: tuple[int, ...] | None = None
    keep: str | None = None

    @classmethod
    def check(cls, size: Any, drop_remainder: Any, pad: Any, bucket: Any, keep: Any) -> BatchOptions:
        """Return the options, where they are possible.

        Raises:
            ArgumentError: one is of a wrong type.
            ArgumentValueError: one has an impossible value, or two contradict each other.
        """
        if isinstance(size, bool) or not isinstance(size, numbers.Integral):
            raise ArgumentError(f"the size of a batch has to be an integer; received {size!r}")
        if size < 1:
            raise ArgumentValueError(f"the size of a batch has to be 1 or more; received {size}")
        if not isinstance(drop_remainder, bool | np.bool_):
            raise ArgumentError(f"drop_remainder has to be True or False; received {drop_remainder!r}")
        if pad is not None and (isinstance(pad, bool) or not isinstance(pad, numbers.Real)):
            raise ArgumentError(f"pad has to be a number; received {pad!r}")
        if pad is None and (bucket is not None or keep is not None):
            raise ArgumentValueError("bucket and keep are for padded sequences; give pad=, such as pad=0")
        if keep is not None and keep not in KEPT:
            raise ArgumentValueError(f"keep has to be one of {', '.join(map(repr, KEPT))}; received {keep!r}")
        return cls(
            int(size),
            bool(drop_remainder),
            None if pad is None else _number(pad),
            _check_bucket(bucket),
            keep,
        )


def _number(pad: Any) -> float:
    return int(pad) if isinstance(pad, numbers.Integral) else float(pad)


def _check_bucket(bucket: Any) -> tuple[int, ...] | None:
    if bucket is None:
        return None
    if not isinstance(bucket, Sequence | np.ndarray) or isinstance(bucket, str):
        raise ArgumentError(f"bucket has to be a list of lengths; received {bucket!r}")
    lengths = list(bucket)
    if not all(isinstance(one, numbers.Integral) and not isinstance(one, bool) for one in lengths):
        raise ArgumentError(f"bucket has to be a list of integers; received {bucket!r}")
    if not lengths or lengths[0] < 1 or any(a >= b for a, b in itertools.pairwise(lengths)):
        raise ArgumentValueError(f"bucket has to be lengths of 1 or more that grow; received {bucket!r}")
    return tuple(int(one) for one in lengths)


@dataclass(frozen=True)
class Measured:
    """The lengths of the sequences of a chain.

    Attributes:
        is_sequence: which leaves of an example are sequences.
        lengths: of the longest sequence of each member, shape (members,); by number in the origin.
    """

    is_sequence: tuple[bool, ...]
    lengths: dict[int, int]

    @classmethod
    def of_chain(cls, chain: Chain) -> Measured:
        """Read all examples once. A sequence is a leaf whose first axis differs in length; else the first leaf is one.

        Raises:
            DatasetError: random transforms may change lengths from epoch to epoch.
        """
        if chain.is_random:
            raise DatasetError(
                "bucket and keep need the length of each sequence, which random transforms may change; the chain is "
                f"{chain.describe()}. Pad without them"
            )
        rows = list(chain.each(_first_axes, "batch"))
        if len({len(row) for row in rows}) > 1:
            raise DatasetError(
                "examples that are padded have to have one structure; some have more arrays than others"
            )
        table = np.array(rows)
        varies = (table != table[0]).any(axis=0)
        if not varies.any():
            varies[np.flatnonzero(table[0] >= 0)[:1]] = True
        if not varies.any():
            raise DatasetError("examples are single numbers, which have no length to pad")
        longest = table[:, varies].max(axis=1)
        members = chain.members.indices.tolist()
        return cls(tuple(varies.tolist()), dict(zip(members, longest.tolist(), strict=True)))


def has_one_array(chain: Chain) -> bool:
    """Say whether x has no more than one array: that is the sequence."""
    example = chain.load(int(chain.members.indices[0]), 0)
    x = example[0] if isinstance(example, tuple) else example
    return sum(size >= 0 for size in _first_axes(x)) <= 1


def _first_axes(example: Any) -> list[int]:
    arrays = [_examples.to_array(leaf) for leaf in _examples.leaves(example)]
    return [array.shape[0] if array.ndim else -1 for array in arrays]


@dataclass(frozen=True)
class Part:
    """One batch of an epoch.

    Attributes:
        indices: of its examples, shape (batch,).
        passes: the pass that each belongs to, shape (batch,).
        length: what sequences are filled up to; None for the longest of them.
    """

    indices: np.ndarray
    passes: np.ndarray
    length: int | None = None


def count_batches(examples: int, size: int, drop_remainder: bool) -> int:
    """Return how many batches some examples make."""
    return examples // size if drop_remainder else -(-examples // size)


class Plan:
    """The batches of one epoch.

    Args:
        order: the examples.
        options: how they become batches.
        measured: the lengths, where there are buckets.
    """

    def __init__(self, order: Order, options: BatchOptions, measured: Measured | None) -> None:
        self._order, self._options = order, options
        self._buckets = None
        if options.bucket is not None and measured is not None:
            lengths = np.array([measured.lengths[int(index)] for index in order.indices])
            self._buckets = list(_fill(lengths, options))

    def __len__(self) -> int:
        if self._buckets is not None:
            return len(self._buckets)
        return count_batches(len(self._order), self._options.size, self._options.drop_remainder)

    def part(self, number: int) -> Part:
        """Return a batch by its number, from 0."""
        if self._buckets is None:
            places: Any = slice(number * self._options.size, (number + 1) * self._options.size)
            return Part(self._order.indices[places], self._order.passes[places])
        places, length = self._buckets[number]
        return Part(self._order.indices[places], self._order.passes[places], length)


def _fill(lengths: np.ndarray, options: BatchOptions) -> Any:
    """Yield the places in the order of an epoch, and the length, of each batch; a bucket that is full is a batch."""
    bounds: tuple[int, ...] = options.bucket or ()
    waiting: list[list[int]] = [[] for _ in bounds]
    for place, length in enumerate(lengths):
        bucket = bisect.bisect_left(bounds, length)
        waiting[bucket].append(place)
        if len(waiting[bucket]) == options.size:
            yield np.array(waiting[bucket]), bounds[bucket]
            waiting[bucket] = []
    if not options.drop_remainder:
        for bucket, places in enumerate(waiting):
            if places:
                yield np.array(places), bounds[bucket]


def check_lengths(measured: Measured, bucket: tuple[int, ...]) -> None:
    """Refuse sequences that fit no bucket.

    Raises:
        DatasetError: it names the longest.
    """
    index, longest = max(measured.lengths.items(), key=lambda item: item[1])
    if longest > bucket[-1]:
        count = sum(length > bucket[-1] for length in measured.lengths.values())
        raise DatasetError(
            f"{count} examples are longer than the last bucket of {bucket[-1]}; example {index} has length {longest}. "
            f"Add a bucket of {longest} or more, cut them by .map(f), or leave them out by .filter(f)"
        )

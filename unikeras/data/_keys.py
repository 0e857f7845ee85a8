"""The order of an epoch and the draws of an example, as pure functions of seed, epoch and index.

Source: Salmon et al. (2011), Parallel random numbers: as easy as 1, 2, 3 (Philox). numpy promises that the stream of a
bit generator never changes; what `numpy.random.Generator` makes of it may. So the order is made of the stream itself.
"""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from unikeras.errors import ArgumentError, ArgumentValueError

# The second word of the key: streams for different purposes never meet.
_ORDER, _EXAMPLE, _BATCH = 0, 1, 2


def check_seed(seed: Any) -> int:
    """Return a seed as an int.

    Raises:
        ArgumentError: it is no integer.
        ArgumentValueError: it is negative, or has more than 64 bits.
    """
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral):
        raise ArgumentError(f"seed has to be an integer; received {seed!r} of type {type(seed).__name__}")
    if not 0 <= int(seed) < 2**64:
        raise ArgumentValueError(f"seed has to be between 0 and 2**64 - 1; received {seed}")
    return int(seed)


def _stream(seed: int, purpose: int, epoch: int, index: int) -> np.random.Philox:
    # The low words count the numbers drawn, so that no stream runs into that of the next index.
    key = np.array([seed, purpose], np.uint64)
    return np.random.Philox(key=key, counter=np.array([0, 0, epoch, index], np.uint64))


def permutation(n: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order of an epoch.

    Args:
        n: how many examples there are.
        seed: from 0 to 2**64 - 1.
        epoch: from 0.

    Returns:
        The numbers 0 to n - 1, int64, shape (n,).

    Example:
        >>> sorted(permutation(5, seed=1, epoch=0).tolist())
        [0, 1, 2, 3, 4]
    """
    numbers_drawn = _stream(seed, _ORDER, epoch, 0).random_raw(n)
    return np.argsort(numbers_drawn, kind="stable").astype(np.int64, copy=False)


def example_generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Return the generator that the random transforms of one example draw from.

    Args:
        seed: from 0 to 2**64 - 1.
        epoch: from 0.
        index: the example's number in the data, from 0.

    Example:
        >>> bool(example_generator(0, 3, 7).random() == example_generator(0, 3, 7).random())
        True
    """
    return np.random.Generator(_stream(seed, _EXAMPLE, epoch, index))


def batch_generator(seed: int, epoch: int, batch: int) -> np.random.Generator:
    """Return the generator that random transforms of a whole batch draw from.

    Args:
        seed: from 0 to 2**64 - 1.
        epoch: from 0.
        batch: the number of the batch in its epoch, from 0.

    Example:
        >>> bool(batch_generator(0, 3, 7).random() == example_generator(0, 3, 7).random())
        False
    """
    return np.random.Generator(_stream(seed, _BATCH, epoch, batch))

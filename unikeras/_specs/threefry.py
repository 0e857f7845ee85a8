"""threefry2x32 with 20 rounds: a counter and a key become two random words of 32 bits.

The n-th number of a draw is a function of the key and of n alone. The layout is that of `jax.random` with
`jax_threefry_partitionable`, its default: the counter is the position, and 32 bits are the exclusive or of both words.

Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3, https://doi.org/10.1145/2063384.2063405
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA
LARGEST = 2**32  # positions that one counter of 32 bits has
# So many words, with what is computed of them, stay in a core's cache.
_BLOCK = 2**16

# Pairs of words, one pair for each key, parameters, the arithmetic; returns the numbers of these positions.
Finish = Callable[[Sequence[tuple[Any, Any]], Sequence[Any], Any], Any]
Array = np.ndarray[Any, Any]


def threefry(key: Sequence[Any], x0: Any, x1: Any, rotate: Callable[[Any, int], Any]) -> tuple[Any, Any]:
    """Compute the two random words of each counter.

    Args:
        key: two words.
        x0: the high words of the counters; `+` of words wraps at 32 bits, `^` is the exclusive or.
        x1: the low words.
        rotate: rotates words to the left by a number of bits.

    Returns:
        The words, of the counters' shape.
    """
    keys = (key[0], key[1], key[0] ^ key[1] ^ PARITY)
    x0, x1 = x0 + keys[0], x1 + keys[1]
    for i in range(5):
        for bits in ROTATIONS[i % 2]:
            x0 = x0 + x1
            x1 = rotate(x1, bits) ^ x0
        x0, x1 = x0 + keys[(i + 1) % 3], x1 + (keys[(i + 2) % 3] + (i + 1))
    return x0, x1


def host_words(key: Sequence[int], start: int, count: int) -> tuple[Array, Array]:
    """Return the random words of the counters from `start` on, as two arrays of uint32 of shape (count,).

    Args:
        key: two words.
        start: the first counter.
        count: how many.
    """
    k0, k1 = (int(word) & 0xFFFFFFFF for word in key)
    keys = (k0, k1, k0 ^ k1 ^ PARITY)
    x0 = np.full(count, k0, np.uint32)  # the high word of the counter is 0
    x1 = np.arange(start, start + count, dtype=np.uint32)
    x1 += np.uint32(k1)
    right = np.empty_like(x1)
    for i in range(5):
        for bits in ROTATIONS[i % 2]:
            x0 += x1
            np.right_shift(x1, 32 - bits, out=right)
            np.left_shift(x1, bits, out=x1)
            x1 |= right
            x1 ^= x0
        x0 += np.uint32(keys[(i + 1) % 3])
        x1 += np.uint32((keys[(i + 2) % 3] + i + 1) & 0xFFFFFFFF)
    return x0, x1


class HostArithmetic:
    """What `random` computes with, on numpy arrays; `backends/_contract/words.py` describes the methods."""

    def shift(self, word: Array, bits: int) -> Array:
        return (word >> np.uint32(bits)).view(np.int32)

    def shift_signed(self, value: Array, bits: int) -> Array:
        return value >> np.int32(bits)

    def signed(self, word: Array) -> Array:
        return word.view(np.int32)

    def wide(self, word: Array) -> Array:
        return word.astype(np.uint64)

    def low(self, value: Array) -> Array:
        return value & np.uint64(2**32 - 1)

    def number(self, param: Any, like: Array) -> Any:
        return like.dtype.type(param)

    def remainder(self, value: Array, divisor: Any) -> Array:
        return value % divisor

    def to_int32(self, value: Array) -> Array:
        return value.astype(np.uint32).view(np.int32)

    def to_int64(self, value: Array) -> Array:
        return value.view(np.int64)

    def join(self, high: Array, low: Array) -> Array:
        return (high.astype(np.uint64) << np.uint64(32)) | low

    def cast(self, value: Array, dtype: str) -> Array:
        return value.astype(dtype)

    def as_float(self, value: Array) -> Array:
        return value.view(np.float32)

    def as_int(self, value: Array) -> Array:
        return value.view(np.int32)

    def where(self, condition: Array, a: Any, b: Any) -> Array:
        a, b = (np.float32(value) if isinstance(value, float) else value for value in (a, b))
        return np.where(condition, a, b)

    def maximum(self, a: Any, b: Any) -> Array:
        return np.maximum(a, b)

    def minimum(self, a: Any, b: Any) -> Array:
        return np.minimum(a, b)

    def sqrt(self, value: Array) -> Array:
        return np.sqrt(value)

    def log(self, value: Array) -> Array:
        return np.log(value)

    def rounded(self, value: Array) -> Array:
        return value  # numpy rounds after each operation


_HOST = HostArithmetic()


def generate_on_host(
    finish: Finish, keys: Sequence[Sequence[int]], shape: Sequence[int], params: Sequence[Any]
) -> Array:
    """Draw on the host, in blocks that stay in the cache, by as many threads as there are cores.

    Args:
        finish: makes numbers of random words.
        keys: two words each.
        shape: of the draw.
        params: what else `finish` takes, as numpy scalars.

    Returns:
        An array of the shape.
    """
    count = math.prod(shape)

    def block(start: int, size: int) -> Array:
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            made: Array = finish([host_words(key, start, size) for key in keys], params, _HOST)
        return made

    if count <= _BLOCK:
        return block(0, count).reshape(shape)
    first = block(0, _BLOCK)
    out = np.empty(count, first.dtype)
    out[:_BLOCK] = first

    def fill(starts: Sequence[int]) -> None:
        for start in starts:
            size = min(_BLOCK, count - start)
            out[start : start + size] = block(start, size)

    starts = range(_BLOCK, count, _BLOCK)
    threads = min(len(starts) // 4, _cores())
    if threads < 2:
        fill(starts)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(fill, (starts[i::threads] for i in range(threads))))
    return out.reshape(shape)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""Seeds of objects that were given none: the n-th of them has the n-th seed."""

from __future__ import annotations

from unikeras._specs.threefry import host_words

_HALF = 15  # bits; Keras' own default seeds have 30
_MASK = 2**_HALF - 1
_ROUNDS = 4


class PortableSeed(int):
    """A seed whose draws are portable wherever they happen."""


def nth_seed(seed: int, n: int) -> int:
    """Return the n-th seed: no two of the first 2**30 are equal.

    A Feistel network, whose rounds are random words: it maps each number of 30 bits to another one.

    Args:
        seed: from 0 to 2**64 - 1.
        n: from 0 on.

    Returns:
        From 1 to 2**30.
    """
    key = seed >> 32, seed & 0xFFFFFFFF
    left, right = n >> _HALF & _MASK, n & _MASK
    for i in range(_ROUNDS):
        words = host_words(key, i << _HALF | right, 1)
        left, right = right, left ^ int(words[0][0] ^ words[1][0]) & _MASK
    return (left << _HALF | right) + 1

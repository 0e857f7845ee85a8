"""The generator on the host: Random123's published vectors, jax.random's numbers, and the functions of our own."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unikeras._specs import threefry
from unikeras.random import _finishes, _polynomials
from unikeras.random._seeds import nth_seed

HOST = threefry.HostArithmetic()
# Key, counter, result: threefry2x32 with 20 rounds in tests/kat_vectors of Random123.
VECTORS = (
    ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
)


def _rotate(word, bits):
    return (word << np.uint32(bits)) | (word >> np.uint32(32 - bits))


@pytest.mark.parametrize(("key", "counter", "result"), VECTORS)
def test_the_published_vectors(key, counter, result):
    with np.errstate(over="ignore"):
        words = threefry.threefry(
            [np.uint32(word) for word in key], *(np.array([word], np.uint32) for word in counter), _rotate
        )
    assert tuple(int(word[0]) for word in words) == result


def test_words_of_the_host_are_those_of_the_cipher():
    for key in ((0, 0), (7, 3), (2**32 - 1, 1), (-5, 2**31)):
        counters = np.arange(5, 105, dtype=np.uint32)
        with np.errstate(over="ignore"):
            words = [np.uint32(word & 0xFFFFFFFF) for word in key]
            expected = threefry.threefry(words, np.zeros_like(counters), counters, _rotate)
        np.testing.assert_array_equal(threefry.host_words(key, 5, 100), expected)


def test_blocks_and_threads_change_nothing(monkeypatch):
    whole = threefry.generate_on_host(_finishes.word, [(7, 3)], (50, 70), ())
    monkeypatch.setattr(threefry, "_BLOCK", 64)
    np.testing.assert_array_equal(threefry.generate_on_host(_finishes.word, [(7, 3)], (50, 70), ()), whole)


def test_bits_are_those_of_jax():
    """50 keys, of all shapes: each number is a function of the key and of its place."""
    jax = pytest.importorskip("jax")
    rng = np.random.default_rng(0)
    shapes = [(), (1,), (0,), (3, 0), (17,), (2, 3, 5), (1000,)]
    for i in range(50):
        key, shape = rng.integers(0, 2**32, 2, np.uint32), shapes[i % len(shapes)]
        drawn = threefry.generate_on_host(_finishes.word, [key], shape, ())
        np.testing.assert_array_equal(drawn.view(np.uint32), jax.random.bits(key, shape))


def _ulps(found, exact):
    return np.max(np.abs(found - exact) / np.spacing(np.abs(exact).astype(np.float32)))


def test_the_logarithm():
    x = np.concatenate([np.arange(1, 2**23, 97) * 2.0**-23, [1.1754944e-38, 1.0, 3.4e38]]).astype(np.float32)
    found = _polynomials.log(x, HOST)
    assert found.dtype == np.float32
    exact = np.log(x.astype(np.float64))
    assert _ulps(found[exact != 0], exact[exact != 0]) < 1
    assert not found[exact == 0].any()


def test_the_inverse_error_function():
    """erf of it is the argument, by the derivative of erf."""
    x = (np.arange(-(2**23) + 1, 2**23, 401) * 2.0**-23).astype(np.float32)
    for inverse, kind, tolerance in (
        (_polynomials.erfinv, np.float32, 5e-7),
        (_polynomials.erfinv64, np.float64, 2e-15),
    ):
        found = inverse(x.astype(kind), HOST)
        assert found.dtype == kind
        z = found.astype(np.float64)
        slope = 2 / math.sqrt(math.pi) * np.exp(-z * z)
        exact = z - (np.vectorize(math.erf)(z) - x) / slope
        exact = np.where(np.abs(x) < 0.99, exact, z)  # beyond, erf itself has not the digits
        np.testing.assert_allclose(z, exact, rtol=tolerance)
    tails = _polynomials.erfinv(np.array([1 - 2.0**-23, -1 + 2.0**-24], np.float32), HOST)
    np.testing.assert_allclose(tails, [3.7439212, -3.8325067], rtol=5e-7)


def test_no_two_objects_have_one_seed():
    for seed in (0, 7, 2**64 - 1):
        seeds = [nth_seed(seed, n) for n in range(300)]
        assert len(set(seeds)) == len(seeds)
        assert 0 < min(seeds) < max(seeds) <= 2**30
    assert not {nth_seed(7, n) for n in range(300)} & {nth_seed(8, n) for n in range(300)}

"""Random words on TensorFlow: small eager draws by numpy, large ones by XLA, also inside of a graph without XLA.

A graph's operations pass over the whole memory one by one; XLA makes one loop of the 130 of a draw. It compiles for
each size, so sizes are rounded up: the n-th number does not depend on how many there are.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from unikeras._specs.threefry import generate_on_host, threefry
from unikeras.backends._contract import Arithmetic, Words

Tensor = Any
_SMALL = 2**15  # up to here, what XLA saves is less than what compiling costs


class TensorflowArithmetic(Arithmetic):
    """Words are uint32, wide numbers are int64."""

    def shift(self, word: Tensor, bits: int) -> Tensor:
        return tf.bitcast(tf.bitwise.right_shift(word, tf.constant(bits, tf.uint32)), tf.int32)

    def shift_signed(self, value: Tensor, bits: int) -> Tensor:
        return tf.bitwise.right_shift(value, tf.constant(bits, tf.int32))

    def signed(self, word: Tensor) -> Tensor:
        return tf.bitcast(word, tf.int32)

    def wide(self, word: Tensor) -> Tensor:
        return tf.cast(word, tf.int64)

    def low(self, value: Tensor) -> Tensor:
        return value & tf.constant(2**32 - 1, tf.int64)

    def number(self, param: Any, like: Tensor) -> Tensor:
        return param

    def remainder(self, value: Tensor, divisor: Any) -> Tensor:
        # Of half the number, which has no sign, and then of the number: int64 stands for 64 bits without a sign.
        half = tf.bitwise.right_shift(value, tf.constant(1, tf.int64)) & tf.constant(2**63 - 1, tf.int64)
        half = tf.math.floormod(half, divisor)
        rest = half - (divisor - half) + (value & tf.constant(1, tf.int64))
        return tf.where(rest < 0, rest + divisor, rest)

    def to_int32(self, value: Tensor) -> Tensor:
        return tf.cast(value, tf.int32)

    def to_int64(self, value: Tensor) -> Tensor:
        return value

    def join(self, high: Tensor, low: Tensor) -> Tensor:
        upper = tf.bitwise.left_shift(tf.cast(high, tf.int64), tf.constant(32, tf.int64))
        return upper | self.wide(low)

    def cast(self, value: Tensor, dtype: str) -> Tensor:
        return tf.cast(value, dtype)

    def as_float(self, value: Tensor) -> Tensor:
        return tf.bitcast(value, tf.float32)

    def as_int(self, value: Tensor) -> Tensor:
        return tf.bitcast(value, tf.int32)

    def where(self, condition: Tensor, a: Any, b: Any) -> Tensor:
        return tf.where(condition, a, b)

    def maximum(self, a: Any, b: Any) -> Tensor:
        return tf.maximum(a, b)

    def minimum(self, a: Any, b: Any) -> Tensor:
        return tf.minimum(a, b)

    def sqrt(self, value: Tensor) -> Tensor:
        return tf.sqrt(value)

    def log(self, value: Tensor) -> Tensor:
        return tf.math.log(value)

    def rounded(self, value: Tensor) -> Tensor:
        return tf.maximum(value, value.dtype.min)


_ARITHMETIC = TensorflowArithmetic()


class TensorflowWords(Words):
    """numpy, operations of a graph, or XLA, by the size of the draw."""

    arithmetic = _ARITHMETIC

    def generate(
        self,
        finish: Callable[..., Any],
        keys: Sequence[Any],
        shape: Sequence[Any],
        params: Sequence[Any] = (),
    ) -> Tensor:
        size = _static_size(shape)
        if tf.executing_eagerly() and size is not None and size <= _SMALL:
            words = [key.numpy().tolist() for key in keys]
            return tf.constant(generate_on_host(finish, words, [int(n) for n in shape], params))
        keys = [tf.bitcast(tf.cast(key, tf.uint32), tf.int32) for key in keys]
        numbers = [tf.constant(param) for param in params]
        if size is None:
            size = tf.cast(tf.reduce_prod(tf.stack([tf.cast(n, tf.int32) for n in shape])), tf.int32)
            drawn = tf.cond(
                size <= _SMALL,
                lambda: _plain(finish)(size, keys, numbers),
                lambda: _large(finish)(size, keys, numbers),
            )
        else:
            run = _plain if size <= _SMALL else _large
            drawn = run(finish)(tf.constant(size, tf.int32), keys, numbers)
        return tf.stop_gradient(tf.reshape(drawn, shape))

    def seed_generators(self, seed: int) -> None:
        tf.random.set_seed(seed)


def _static_size(shape: Sequence[Any]) -> int | None:
    sizes = [tf.get_static_value(n) if tf.is_tensor(n) else n for n in shape]
    return None if any(n is None for n in sizes) else math.prod(int(n) for n in sizes)


def _numbers(
    finish: Callable[..., Any], size: Tensor, keys: Sequence[Tensor], params: Sequence[Tensor]
) -> Tensor:
    low = tf.bitcast(tf.range(size), tf.uint32)
    high = tf.zeros_like(low)
    words = [threefry(tf.unstack(tf.bitcast(key, tf.uint32)), high, low, _rotate) for key in keys]
    return finish(words, params, _ARITHMETIC)


@functools.cache
def _plain(finish: Callable[..., Any]) -> Any:
    """Return a program of the graph's operations, for any size."""
    return tf.function(functools.partial(_numbers, finish), autograph=False, reduce_retracing=True)


@functools.cache
def _by_xla(finish: Callable[..., Any]) -> Any:
    return tf.function(
        functools.partial(_numbers, finish), autograph=False, reduce_retracing=True, jit_compile=True
    )


@functools.cache
def _large(finish: Callable[..., Any]) -> Any:
    """Return a program for any size, which XLA compiles for the size rounded up to an eighth of a power of two."""

    def run(size: Tensor, keys: Sequence[Tensor], params: Sequence[Tensor]) -> Tensor:
        known = tf.get_static_value(size)
        rounded = _rounded_up(int(known)) if known is not None else _round_up(size)
        return _by_xla(finish)(rounded, keys, params)[:size]

    return run


def _rounded_up(size: int) -> Any:
    unit = 1 << max((size - 1).bit_length() - 4, 0)
    return tf.constant(-(-size // unit) * unit, tf.int32)


def _round_up(size: Tensor) -> Tensor:
    power = tf.math.ceil(tf.math.log(tf.cast(size, tf.float64)) / np.log(2.0))
    unit = tf.cast(2.0 ** tf.maximum(power - 4.0, 0.0), tf.int32)
    return -(-size // unit) * unit


def _rotate(word: Tensor, bits: int) -> Tensor:
    left = tf.bitwise.left_shift(word, tf.constant(bits, tf.uint32))
    right = tf.bitwise.right_shift(word, tf.constant(32 - bits, tf.uint32))
    return tf.bitwise.bitwise_or(left, right)

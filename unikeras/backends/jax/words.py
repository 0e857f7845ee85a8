"""Random words on JAX: written out, so that XLA fuses them with what is computed of them.

`jax.random.bits` is a loop of its own on the CPU, which XLA fuses with nothing.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from unikeras._specs.threefry import threefry
from unikeras.backends._contract import Arithmetic, Words

Array = Any


class JaxArithmetic(Arithmetic):
    """Words are uint32."""

    def shift(self, word: Array, bits: int) -> Array:
        return (word >> jnp.uint32(bits)).astype("int32")

    def shift_signed(self, value: Array, bits: int) -> Array:
        return value >> bits

    def signed(self, word: Array) -> Array:
        return lax.bitcast_convert_type(word, jnp.int32)

    def wide(self, word: Array) -> Array:
        return word

    def low(self, value: Array) -> Array:
        return value

    def number(self, param: Any, like: Array) -> Array:
        return jnp.asarray(param).astype(like.dtype)

    def remainder(self, value: Array, divisor: Array) -> Array:
        # 2**32 has become 0, by which XLA divides without changing the number.
        return lax.rem(value, jnp.broadcast_to(divisor, value.shape))

    def to_int32(self, value: Array) -> Array:
        return lax.bitcast_convert_type(value, jnp.int32)

    def to_int64(self, value: Array) -> Array:
        return value.astype("int64")

    def join(self, high: Array, low: Array) -> Array:
        return (high.astype("uint64") << jnp.uint64(32)) | low.astype("uint64")

    def cast(self, value: Array, dtype: str) -> Array:
        return value.astype(dtype)

    def as_float(self, value: Array) -> Array:
        return lax.bitcast_convert_type(value, jnp.float32)

    def as_int(self, value: Array) -> Array:
        return lax.bitcast_convert_type(value, jnp.int32)

    def where(self, condition: Array, a: Any, b: Any) -> Array:
        a, b = (jnp.float32(value) if isinstance(value, float) else value for value in (a, b))
        return jnp.where(condition, a, b)

    def maximum(self, a: Any, b: Any) -> Array:
        return jnp.maximum(a, b)

    def minimum(self, a: Any, b: Any) -> Array:
        return jnp.minimum(a, b)

    def sqrt(self, value: Array) -> Array:
        return jnp.sqrt(value)

    def log(self, value: Array) -> Array:
        return jnp.log(value)

    def rounded(self, value: Array) -> Array:
        return jnp.maximum(value, jnp.finfo(value.dtype).min)


_ARITHMETIC = JaxArithmetic()


class JaxWords(Words):
    """One program for each kind of draw and each shape."""

    arithmetic = _ARITHMETIC

    def generate(
        self,
        finish: Callable[..., Any],
        keys: Sequence[Any],
        shape: Sequence[Any],
        params: Sequence[Any] = (),
    ) -> Array:
        return lax.stop_gradient(_program(finish, tuple(shape), list(keys), list(params)))

    def seed_generators(self, seed: int) -> None:
        pass  # JAX has none


@functools.partial(jax.jit, static_argnums=(0, 1))
def _program(
    finish: Callable[..., Any], shape: tuple[int, ...], keys: Sequence[Any], params: Sequence[Any]
) -> Array:
    low = lax.iota(jnp.uint32, math.prod(shape))
    high = jnp.zeros_like(low)
    words = [threefry(key.astype("uint32"), high, low, _rotate) for key in keys]
    return jnp.reshape(finish(words, params, _ARITHMETIC), shape)


def _rotate(word: Array, bits: int) -> Array:
    return (word << jnp.uint32(bits)) | (word >> jnp.uint32(32 - bits))

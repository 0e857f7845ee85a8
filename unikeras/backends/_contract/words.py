"""Random words and what is computed of them, equal in every bit on each framework."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any


class Arithmetic(ABC):
    """Operations that give the same bits on each framework. Operators (`+`, `*`, `/`, `<`, `^`, `&`) are native."""

    @abstractmethod
    def shift(self, word: Any, bits: int) -> Any:
        """Shift words to the right by 1 to 31 bits; zeros come in.

        Args:
            word: random words of any shape, of the framework's own type for them.
            bits: how far.

        Returns:
            int32, not negative.
        """

    @abstractmethod
    def shift_signed(self, value: Any, bits: int) -> Any:
        """Shift int32 to the right; copies of the sign come in."""

    @abstractmethod
    def signed(self, word: Any) -> Any:
        """Return words as int32 with the same 32 bits."""

    @abstractmethod
    def wide(self, word: Any) -> Any:
        """Return words as unsigned numbers in a type whose products keep at least their low 32 bits."""

    @abstractmethod
    def low(self, value: Any) -> Any:
        """Return the low 32 bits of `wide` numbers."""

    @abstractmethod
    def number(self, param: Any, like: Any) -> Any:
        """Return a parameter, of int64 and not negative, as a `wide` number of the type of others."""

    @abstractmethod
    def remainder(self, value: Any, divisor: Any) -> Any:
        """Divide `wide` numbers as unsigned ones and return the remainders.

        Args:
            value: of any shape.
            divisor: of a shape that broadcasts, from 1 to 2**32, or less than 2**63 after `join`.
        """

    @abstractmethod
    def to_int32(self, value: Any) -> Any:
        """Return the low 32 bits of `wide` numbers as int32."""

    @abstractmethod
    def to_int64(self, value: Any) -> Any:
        """Return `wide` numbers, less than 2**63, as int64."""

    @abstractmethod
    def join(self, high: Any, low: Any) -> Any:
        """Return `wide` numbers of 64 bits, made of two words; on JAX this needs `jax_enable_x64`."""

    @abstractmethod
    def cast(self, value: Any, dtype: str) -> Any:
        """Convert numbers to another dtype."""

    @abstractmethod
    def as_float(self, value: Any) -> Any:
        """Return float32 of the same bits as int32."""

    @abstractmethod
    def as_int(self, value: Any) -> Any:
        """Return int32 of the same bits as float32."""

    @abstractmethod
    def where(self, condition: Any, a: Any, b: Any) -> Any:
        """Choose element by element; a and b may be numbers, which stand for float32."""

    @abstractmethod
    def maximum(self, a: Any, b: Any) -> Any:
        """Return the larger, element by element; b may be a number."""

    @abstractmethod
    def minimum(self, a: Any, b: Any) -> Any:
        """Return the smaller, element by element; b may be a number."""

    @abstractmethod
    def sqrt(self, value: Any) -> Any:
        """Return square roots, rounded correctly."""

    @abstractmethod
    def log(self, value: Any) -> Any:
        """Return the framework's own natural logarithm, whose last bit differs between frameworks."""

    @abstractmethod
    def rounded(self, value: Any) -> Any:
        """Return finite numbers as they are, and keep compilers from merging an operation with the one after it.

        XLA makes one operation with one rounding of `a * b + c`, and one constant of `x * 2.0 * 3.0`; TensorFlow sums
        `a + (b + c)` in another order.
        """


class Words(ABC):
    """The random words of a framework.

    Attributes:
        arithmetic: what is computed of them.
    """

    arithmetic: Arithmetic

    @abstractmethod
    def generate(
        self,
        finish: Callable[[Sequence[tuple[Any, Any]], Sequence[Any], Any], Any],
        keys: Sequence[Any],
        shape: Sequence[Any],
        params: Sequence[Any] = (),
    ) -> Any:
        """Make a number of each position's random words, by the fastest means; nothing is recorded for gradients.

        Args:
            finish: a module's function. It takes a pair of words for each key, the parameters and an `Arithmetic`;
                returns one number for each position.
            keys: native integer tensors of shape (2,); the low 32 bits count.
            shape: of the draw; Python numbers, or native scalars where the framework has dynamic shapes.
            params: numpy scalars.

        Returns:
            A native tensor of the shape.
        """

    @abstractmethod
    def seed_generators(self, seed: int) -> None:
        """Seed the framework's own global generators, whose states `Trainer.generator_state` returns.

        Args:
            seed: from 0 to 2**31 - 1.
        """

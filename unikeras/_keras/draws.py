"""The places where Keras draws random numbers and makes seeds, for one source that may take its place."""

from __future__ import annotations

import functools
import inspect
import random
from collections.abc import Callable
from typing import Any, Protocol

import keras
from keras.src.random import seed_generator

from unikeras._keras import hooks

NAMES = (
    *("uniform", "normal", "truncated_normal", "randint", "categorical"),
    *("dropout", "shuffle", "gamma", "beta", "binomial"),
)


class Source(Protocol):
    """What may draw in Keras' place; each method returns None where Keras is to do it."""

    def replacement(self, name: str, seed: Any) -> Callable[..., Any] | None:
        """Return a function to call in place of one of `NAMES`, which is called with this seed."""

    def default_seed(self) -> int | None:
        """Return the seed of an object that was given none."""

    def global_generator(self) -> Any | None:
        """Return the generator of draws without a seed."""

    def claim(self, made: Any) -> None:
        """Take over a new seed generator, or a new initializer that draws."""


_source: Source


def install(backend: str, source: Source) -> None:
    """Ask a source first, wherever Keras draws or makes a seed.

    Args:
        backend: the name of the backend in use.
        source: the only one of this process.
    """
    global _source
    _source = source
    for name in NAMES:
        hooks.use(f"keras.src.backend.{backend}.random.{name}", _drawn_by_the_source)
    hooks.use("keras.random.SeedGenerator.__init__", _claimed)
    hooks.use("keras.src.initializers.random_initializers.RandomInitializer.__init__", _claimed)
    hooks.use("keras.src.random.seed_generator.global_seed_generator", _global_generator_of_the_source)
    hooks.use("keras.src.random.seed_generator.python_random", _seeds_of_the_source)


def seed_state(seed: Any) -> Any:
    """Return the state that a draw with this seed has, and advance a generator.

    Args:
        seed: an int, a SeedGenerator, or None for the global one.

    Returns:
        A native tensor of shape (2,).

    Raises:
        ValueError: it is none of these.
    """
    return seed_generator.draw_seed(seed)


def _drawn_by_the_source(original: Callable[..., Any]) -> Callable[..., Any]:
    name = original.__name__
    place = list(inspect.signature(original).parameters).index("seed")

    @functools.wraps(original)
    def draw(*args: Any, **kwargs: Any) -> Any:
        seed = kwargs["seed"] if "seed" in kwargs else args[place] if len(args) > place else None
        return (_source.replacement(name, seed) or original)(*args, **kwargs)

    return draw


def _claimed(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        _source.claim(self)

    return init


def _global_generator_of_the_source(original: Callable[[], Any]) -> Callable[[], Any]:
    @functools.wraps(original)
    def global_seed_generator() -> Any:
        generator = _source.global_generator()
        if generator is None or seed_generator.jax_utils.is_in_jax_tracing_scope():
            return original()  # which refuses, inside of a trace on JAX
        return generator

    return global_seed_generator


class _Seeds:
    """Python's `random`, as Keras uses it: for the seeds of objects that were given none."""

    def randint(self, low: int, high: int) -> int:
        seed = _source.default_seed()
        return random.randint(low, high) if seed is None else seed


def _seeds_of_the_source(original: Any) -> Any:
    return _Seeds()


def ordered_generator(seed: int, name: str) -> Any:
    """Return a seed generator that counts its draws, also where Keras asks it for seeds without an order.

    Keras' own way of doing so repeats itself, and overflows differently on each backend.
    """

    class OrderedGenerator(keras.random.SeedGenerator):
        def next(self, ordered: bool = True) -> Any:
            return super().next()

    return OrderedGenerator(seed, name=name)

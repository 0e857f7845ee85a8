"""What `.map`, `.augment` and `.cache` do to an example."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from unikeras.data import _examples
from unikeras.data._chain import Draws
from unikeras.errors import ArgumentError


def name_of(function: Any) -> str:
    """Return what to call a function or a transform.

    Example:
        >>> name_of(len), name_of(3)
        ('len', 'int')
    """
    return str(getattr(function, "__name__", type(function).__name__))


def check_callable(function: Any, method: str) -> None:
    """Refuse what cannot be called.

    Raises:
        ArgumentError: it cannot.
    """
    if not callable(function):
        raise ArgumentError(
            f".{method} takes a function of an example; received {function!r:.60} of type {type(function).__name__}"
        )


def call(function: Callable[..., Any], example: Any) -> Any:
    """Call a function with the parts of an example as arguments, as tf.data does."""
    return function(*example) if isinstance(example, tuple) else function(example)


class Map:
    """A function of `x`, of `x, y`, or of `x, y, sample_weight`.

    Args:
        function: returns the example that takes its place.
    """

    is_random = False

    def __init__(self, function: Callable[..., Any]) -> None:
        self.name = f"map({name_of(function)})"
        self._function = function

    def apply(self, example: Any, draws: Draws) -> Any:
        return call(self._function, example)


class Augment:
    """Random transforms.

    Args:
        transforms: objects with `apply(example, generator)`, or functions of the parts of an example and a generator.
    """

    is_random = True

    def __init__(self, transforms: Sequence[Any]) -> None:
        self.name = f"augment({', '.join(map(name_of, transforms))})"
        self._transforms = tuple(transforms)

    def apply(self, example: Any, draws: Draws) -> Any:
        for transform in self._transforms:
            example = _augment(transform, example, draws)
        return example


def _augment(transform: Any, example: Any, draws: Draws) -> Any:
    if hasattr(transform, "apply"):
        return transform.apply(example, draws.generator)
    parts = example if isinstance(example, tuple) else (example,)
    return transform(*parts, draws.generator)


class Cache:
    """What the steps before it made of each example, kept in memory."""

    name = "cache"
    is_random = False

    def __init__(self) -> None:
        self._kept: dict[int, Any] = {}

    def apply(self, example: Any, draws: Draws) -> Any:
        # Read-only, so that no later step changes in place what the next epoch begins with.
        example = self._kept[draws.index] = _examples.map_leaves(_frozen, example)
        return example

    def recall(self, index: int) -> Any:
        """Return the example that was kept, or None."""
        return self._kept.get(index)


def _frozen(leaf: Any) -> Any:
    array = _examples.to_array(leaf).view()
    array.flags.writeable = False
    return array

"""What `.map`, `.augment` and `.cache` do to an example."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from unikeras.data import _examples
from unikeras.data._chain import Draws
from unikeras.data.transforms import Compose, Transform, example_of, is_layer, target_of
from unikeras.errors import ArgumentError, ArgumentValueError


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
    """Random transforms. Those of pictures that follow each other are one, so that pixels are interpolated once.

    Args:
        transforms: of `unikeras.data.transforms`; layers of Keras that have one; functions of the parts of an example
            and a generator.

    Attributes:
        batch_transforms: those that mix the examples of a batch.

    Raises:
        ArgumentError: something is no transform.
        ArgumentValueError: a layer has no transform.
    """

    def __init__(self, transforms: Sequence[Any]) -> None:
        self._parts: list[Any] = []
        for is_function, group in itertools.groupby(transforms, _is_function):
            found = list(group)
            self._parts.extend(found if is_function else [Compose(found)])
        composed = [part for part in self._parts if isinstance(part, Compose)]
        self.is_random = len(composed) < len(self._parts) or any(part.is_random for part in composed)
        self.batch_transforms = tuple(one for part in composed for one in part.batch_transforms)
        self.name = f"augment({', '.join(map(_shown, self._parts))})"
        if any(part.batch_transforms for part in composed if part is not self._parts[-1]):
            raise ArgumentValueError(f"{self.name}: what mixes a batch has to come last")

    def apply(self, example: Any, draws: Draws) -> Any:
        for part in self._parts:
            parts = example if isinstance(example, tuple) else (example,)
            if not isinstance(part, Compose):
                example = part(*parts, draws.generator)
                continue
            given = example_of(*parts[:2])
            result = part.apply(given, draws.generator)
            rest = (target_of(result, parts[1]), *parts[2:]) if len(parts) > 1 else ()
            example = (result.image, *rest) if rest else result.image
        return example


def _is_function(transform: Any) -> bool:
    if isinstance(transform, Transform) or is_layer(transform):
        return False
    check_callable(transform, "augment")
    return True


def _shown(part: Any) -> str:
    return ", ".join(map(repr, part.transforms)) if isinstance(part, Compose) else name_of(part)


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

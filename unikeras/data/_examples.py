"""Examples: nested structures of numpy arrays, and how several become a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unikeras.errors import DatasetError


def is_node(value: Any) -> bool:
    """Say whether a value is a structure; a list of numbers, or of lists of them, is an array."""
    if isinstance(value, list):
        return not all(_is_plain(item) for item in value)
    return isinstance(value, dict | tuple)


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    return isinstance(value, bool | int | float | complex | str) and not isinstance(value, np.generic)


def map_leaves(function: Callable[..., Any], value: Any, *others: Any) -> Any:
    """Return the structure of a value with a function's results for leaves.

    Args:
        function: takes the leaf of each value.
        value: a nested structure of dicts, tuples and lists.
        *others: values of the same structure.

    Example:
        >>> map_leaves(lambda a, b: a + b, {"x": 1, "y": (2,)}, {"x": 10, "y": (20,)})
        {'x': 11, 'y': (22,)}
    """
    if not is_node(value):
        return function(value, *others)
    if isinstance(value, dict):
        return {key: map_leaves(function, part, *(one[key] for one in others)) for key, part in value.items()}
    parts = [map_leaves(function, *those) for those in zip(value, *others, strict=True)]
    return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)


def leaves(value: Any) -> list[Any]:
    """Return the leaves of a nested value, in order.

    Example:
        >>> leaves({"x": 1, "y": (2, [3, 4])})
        [1, 2, [3, 4]]
    """
    found: list[Any] = []
    map_leaves(found.append, value)
    return found


def names_of_leaves(value: Any, prefix: str = "") -> list[str]:
    """Return where each leaf is, as Python writes it.

    Example:
        >>> names_of_leaves({"x": 1, "y": (2, 3)}, "example")
        ["example['x']", "example['y'][0]", "example['y'][1]"]
    """
    if not is_node(value):
        return [prefix]
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return [name for key, part in items for name in names_of_leaves(part, f"{prefix}[{key!r}]")]


def to_array(leaf: Any) -> np.ndarray:
    """Return a leaf as numpy has it; a Python float becomes float32, as weights are.

    Args:
        leaf: a number, a string, a list of such, a picture, or a tensor of any framework.
    """
    if isinstance(leaf, np.ndarray):
        return leaf
    try:
        if hasattr(leaf, "detach"):  # a tensor of PyTorch, which may need gradients or be on another device
            leaf = leaf.detach().cpu()
            if str(getattr(leaf, "dtype", "")).endswith("bfloat16"):  # which numpy does not have
                leaf = leaf.float()
        array = np.asarray(leaf)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DatasetError(
            f"{type(leaf).__name__} cannot be made an array: {error}. Rows of unequal length are examples of "
            "uk.data.from_source, and .batch(n, pad=0) pads them"
        ) from error
    if array.dtype == np.float64 and not hasattr(leaf, "dtype"):
        array = array.astype(np.float32)
    if array.dtype == object:
        raise DatasetError(
            f"an example holds {type(leaf).__name__} {leaf!r:.60}, which is no number, string, array or tensor "
            "and no dict, tuple or list of such; use .map(f) to make arrays of it"
        )
    return array


def writable(example: Any) -> Any:
    """Return an example whose arrays can be changed in place."""
    return map_leaves(
        lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) and not leaf.flags.writeable else leaf,
        example,
    )


def check_structure(examples: Sequence[Any]) -> None:
    """Refuse examples of different structure.

    Raises:
        DatasetError: it names the two.
    """
    names = names_of_leaves(examples[0], "example")
    for number, other in enumerate(examples):
        other_names = names_of_leaves(other, "example")
        if other_names != names:
            raise DatasetError(
                f"the examples of a batch have to have one structure; number 0 has {', '.join(names)}, "
                f"number {number} has {', '.join(other_names)}"
            )


def stack(examples: Sequence[Any]) -> Any:
    """Return one structure of arrays of shape (batch, ...) for several examples.

    Raises:
        DatasetError: examples differ in structure or shape; it names the two and the place.
    """
    try:
        return map_leaves(lambda *parts: np.stack([to_array(part) for part in parts]), *examples)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, DatasetError):
            raise
        check_structure(examples)
        raise DatasetError(_difference(examples) or f"examples cannot be stacked: {error}") from error


def _difference(examples: Sequence[Any]) -> str | None:
    """Say where the shapes of the first two examples of a batch differ that do."""
    first = examples[0]
    names = names_of_leaves(first, "example")
    shapes = [to_array(leaf).shape for leaf in leaves(first)]
    for number, other in enumerate(examples[1:], 1):
        for name, shape, leaf in zip(names, shapes, leaves(other), strict=True):
            if to_array(leaf).shape != shape:
                return (
                    f"the examples of a batch have to have one shape; {name} is {shape} in number 0 and "
                    f"{to_array(leaf).shape} in number {number}; resize them in .map(f), or pad sequences by "
                    ".batch(n, pad=0)"
                )
    return None

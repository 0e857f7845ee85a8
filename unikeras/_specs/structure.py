"""Nested inputs and outputs as a flat list and a structure whose leaves are numbers in that list.

Dictionaries keep their own order here (`keras.tree` sorts them), because the order is part of a signature.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def _is_node(value: Any) -> bool:
    return isinstance(value, dict | list | tuple)


def take_apart(value: Any, is_node: Callable[[Any], bool] = _is_node) -> tuple[Any, list[Any]]:
    """Return the structure of a nested value, with numbers for leaves, and the leaves in order.

    Example:
        >>> take_apart({"b": 1.5, "a": [2.5, 3.5]})
        ({'b': 0, 'a': [1, 2]}, [1.5, 2.5, 3.5])
    """
    leaves: list[Any] = []

    def walk(part: Any) -> Any:
        if not is_node(part):
            leaves.append(part)
            return len(leaves) - 1
        if isinstance(part, dict):
            return {key: walk(inner) for key, inner in part.items()}
        return [walk(inner) for inner in part]

    return walk(value), leaves


def put_together(structure: Any, leaves: Sequence[Any]) -> Any:
    """Return the nested value with these leaves; the inverse of `take_apart`.

    Example:
        >>> put_together({"b": 1, "a": [0]}, ["x", "y"])
        {'b': 'y', 'a': ['x']}
    """
    if isinstance(structure, dict):
        return {key: put_together(inner, leaves) for key, inner in structure.items()}
    if isinstance(structure, list):
        return [put_together(inner, leaves) for inner in structure]
    return leaves[structure]


def leaves_as(structure: Any, value: Any) -> list[Any]:
    """Return the leaves of a value in the order of a structure.

    A list of one and its only item are the same here: a saved functional model forgets which it was.

    Raises:
        ValueError: the value has another structure.

    Example:
        >>> leaves_as({"b": 0, "a": 1}, {"a": "x", "b": "y"})
        ['y', 'x']
    """
    if isinstance(structure, dict) and isinstance(value, dict) and set(structure) == set(value):
        return [leaf for key in structure for leaf in leaves_as(structure[key], value[key])]
    if isinstance(structure, list):
        items = value if isinstance(value, list | tuple) else [value]
        if len(items) == len(structure):
            return [
                leaf for inner, item in zip(structure, items, strict=True) for leaf in leaves_as(inner, item)
            ]
    if isinstance(structure, int):
        while isinstance(value, list | tuple) and len(value) == 1:
            value = value[0]
        if not _is_node(value):
            return [value]
    raise ValueError(f"expected the structure {structure}, received {take_apart(value)[0]}")

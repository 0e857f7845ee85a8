"""What the arguments of gradients are, and what they must be."""

from __future__ import annotations

from typing import Any

from unikeras import backends
from unikeras._keras.variables import is_variable
from unikeras.autodiff import _nested
from unikeras.errors import ArgumentError


def check_tensor(argument: str, leaf: Any) -> None:
    """Raise an ArgumentError that names the argument where a leaf is neither a tensor nor a variable."""
    if not (is_variable(leaf) or backends.current().is_tensor(leaf)):
        raise ArgumentError(
            f"{argument} holds a {type(leaf).__name__}; it must be a {backends.current().name} tensor or a "
            "keras.Variable (keras.ops.convert_to_tensor makes one)"
        )


def flatten(argument: str, structure: Any) -> list[Any]:
    """Return the leaves of a nested structure of tensors and variables, each checked."""
    if is_flat(structure):
        return list(structure)
    leaves = _nested.flatten(structure, none_is_leaf=True)
    for leaf in leaves:
        check_tensor(argument, leaf)
    return leaves


def pack(structure: Any, leaves: list[Any]) -> Any:
    """Return leaves in the structure that `flatten` took apart."""
    return leaves if is_flat(structure) else _nested.pack(structure, leaves)


def is_flat(structure: Any) -> bool:
    """Say whether a structure is a list of variables, as sources mostly are: taking it apart takes no time."""
    return type(structure) is list and all(map(is_variable, structure))

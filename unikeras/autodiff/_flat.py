"""Functions of nested structures, as functions of flat lists of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unikeras import backends
from unikeras.autodiff._arguments import is_variable
from unikeras.errors import ArgumentError


def tensors(structure: Any) -> list[Any]:
    """Return the leaves of a nested structure as native tensors."""
    from keras import ops, tree

    return [ops.convert_to_tensor(leaf) for leaf in tree.flatten(structure)]


class Arguments:
    """Some arguments of a call, as a flat list of tensors that can be exchanged.

    Args:
        args: all positional arguments.
        numbers: which of them are taken, counted from either end.

    Raises:
        ArgumentError: there is no argument of that number.
    """

    def __init__(self, args: Sequence[Any], numbers: Sequence[int]) -> None:
        if wrong := [number for number in numbers if not -len(args) <= number < len(args)]:
            raise ArgumentError(
                f"argnums names argument {wrong[0]}; the call has {len(args)} positional arguments"
            )
        self._args = list(args)
        self._numbers = [number % len(args) for number in numbers]
        self.chosen = [self._args[number] for number in self._numbers]
        for number, structure in zip(self._numbers, self.chosen, strict=True):
            _check_leaves(number, structure)
        self.leaves = tensors(self.chosen)

    def exchanged(self, leaves: Sequence[Any]) -> list[Any]:
        """Return all arguments with these tensors in the place of the chosen ones."""
        args = list(self._args)
        for number, value in zip(self._numbers, self.packed(leaves), strict=True):
            args[number] = value
        return args

    def packed(self, leaves: Sequence[Any]) -> list[Any]:
        """Return tensors in the structures of the chosen arguments."""
        from keras import tree

        return list(tree.pack_sequence_as(self.chosen, list(leaves)))


def _check_leaves(number: int, structure: Any) -> None:
    import numpy as np
    from keras import tree

    for leaf in tree.flatten(structure):
        if not (isinstance(leaf, int | float | complex | np.ndarray | np.generic) or _is_tensor(leaf)):
            raise ArgumentError(
                f"argument {number} holds a {type(leaf).__name__}; gradients exist with respect to tensors, arrays, "
                "numbers and nested structures of them (argnums names the arguments to differentiate)"
            )


def _is_tensor(value: Any) -> bool:
    return is_variable(value) or backends.current().is_tensor(value)


class Result:
    """What a function returned, taken apart into the tensors of its value and the rest."""

    def __init__(self, returned: Any, has_aux: bool = False) -> None:
        if has_aux and not (isinstance(returned, tuple) and len(returned) == 2):
            raise ArgumentError(
                f"with has_aux=True the function returns a pair (value, aux); it returned {type(returned).__name__}"
            )
        self.value: Any
        self.aux: Any
        self.value, self.aux = returned if has_aux else (returned, None)
        self.outputs = _value_tensors(self.value)
        self._has_aux = has_aux

    def aux_tensors(self) -> list[Any]:
        """Return the tensors among the leaves of aux."""
        from keras import tree

        return [leaf for leaf in tree.flatten(self.aux) if _is_tensor(leaf)] if self._has_aux else []

    def rebuilt(self, outputs: Sequence[Any], aux_tensors: Sequence[Any]) -> tuple[Any, Any]:
        """Return value and aux with other tensors in their places."""
        from keras import tree

        remaining = iter(aux_tensors)
        aux = self.aux
        if self._has_aux:
            aux = tree.map_structure(lambda leaf: next(remaining) if _is_tensor(leaf) else leaf, aux)
        return tree.pack_sequence_as(self.value, list(outputs)), aux


def _value_tensors(value: Any) -> list[Any]:
    from keras import ops, tree

    leaves = tree.flatten(value)
    for leaf in leaves:
        if not _is_tensor(leaf):
            raise ArgumentError(
                f"the function returned a {type(leaf).__name__} where a tensor is needed; return other things as "
                "aux, with has_aux=True"
            )
    return [ops.convert_to_tensor(leaf) if is_variable(leaf) else leaf for leaf in leaves]

"""Functions of nested structures, as functions of flat lists of tensors."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from unikeras._keras.variables import dtype_of, is_differentiable, is_variable
from unikeras.autodiff._nested import flatten, pack, transform, walk
from unikeras.autodiff._partners import is_numeric, is_tensor, not_differentiable
from unikeras.errors import ArgumentError, ArgumentValueError


def numbers_of(argnums: int | Sequence[int]) -> list[int]:
    """Return which positional arguments are meant, as a list of ints.

    Raises:
        ArgumentError: argnums is neither an int nor a sequence of ints.
        ArgumentValueError: argnums is empty or names one argument twice.
    """
    several = isinstance(argnums, tuple | list | range)
    try:
        numbers = [_index(number) for number in (argnums if several else (argnums,))]  # type: ignore[union-attr]
    except TypeError:
        raise ArgumentError(
            f"argnums must be an int or a sequence of ints, the positions of arguments, not {argnums!r}"
        ) from None
    if not numbers:
        raise ArgumentValueError(f"argnums is {argnums!r}; it must name at least one argument")
    if len(set(numbers)) < len(numbers):
        raise ArgumentValueError(f"argnums is {argnums!r}; it must name each argument once")
    return numbers


def is_one(argnums: int | Sequence[int]) -> bool:
    """Say whether argnums names one argument, whose gradient is not put into a tuple."""
    return not isinstance(argnums, tuple | list | range)


def _index(number: Any) -> int:
    if isinstance(number, bool):
        raise TypeError
    return operator.index(number)


class Arguments:
    """Some arguments of a call, as a flat list of tensors that can be exchanged.

    Args:
        args: all positional arguments.
        numbers: which of them are taken, counted from either end.
        name: what the caller calls the arguments: `"argument"`, or the sequence that they were given in.
        integers: leave leaves that have no gradient as they are; otherwise they are refused.

    Raises:
        ArgumentError: an argument holds something that has no gradient.
        ArgumentValueError: there is no argument of that number.
    """

    def __init__(
        self, args: Sequence[Any], numbers: Sequence[int], name: str = "argument", integers: bool = False
    ) -> None:
        self._args = list(args)
        self._numbers = _count_from_start(numbers, len(args))
        self.chosen = [self._args[number] for number in self._numbers]
        leaves = [
            leaf
            for number, structure in zip(self._numbers, self.chosen, strict=True)
            for leaf in walk(structure, f"{name} {number}" if name == "argument" else f"{name}[{number}]")
        ]
        if not leaves and None in flatten(self.chosen, none_is_leaf=True):
            raise ArgumentError(
                f"{name} {self._numbers[0]} holds a NoneType and no tensor; there is nothing to differentiate"
            )
        _check_leaves(leaves, integers)
        self.leaves = [_tensor(leaf) for _, leaf in leaves]

    def exchange(self, leaves: Sequence[Any]) -> list[Any]:
        """Return all arguments with these tensors in the place of the chosen ones."""
        args = list(self._args)
        for number, value in zip(self._numbers, self.pack(leaves), strict=True):
            args[number] = value
        return args

    def pack(self, leaves: Sequence[Any]) -> list[Any]:
        """Return tensors in the structures of the chosen arguments."""
        return list(pack(self.chosen, leaves))


def _count_from_start(numbers: Sequence[int], count: int) -> list[int]:
    if wrong := [number for number in numbers if not -count <= number < count]:
        raise ArgumentValueError(
            f"argnums names argument {', '.join(map(str, wrong))}; the call has {count} positional arguments"
        )
    counted = [number % count for number in numbers]
    if len(set(counted)) < len(counted):
        raise ArgumentValueError(f"argnums {tuple(numbers)} names one argument twice in a call of {count}")
    return counted


def _check_leaves(leaves: Sequence[tuple[str, Any]], integers: bool) -> None:
    problems = [
        problem
        for name, leaf in leaves
        if (problem := not_differentiable(name, leaf)) and not (integers and is_numeric(leaf))
    ]
    if problems:
        raise ArgumentError(
            f"{'; '.join(problems)}; gradients exist with respect to floating and complex tensors, arrays and numbers, "
            "and nested structures of them. Make it floating (3.0, keras.ops.cast(x, 'float32')), or leave it out "
            "(argnums names the arguments to differentiate)"
        )


def _tensor(leaf: Any) -> Any:
    from keras import ops

    return ops.convert_to_tensor(leaf)


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

    def check_differentiable(self) -> None:
        """Raise an ArgumentError where there is nothing to differentiate."""
        if not self.outputs:
            raise ArgumentError(
                f"the function returned {self.value!r}, which holds no tensor; it must return what is differentiated"
            )
        if wrong := [dtype_of(output) for output in self.outputs if not is_differentiable(output)]:
            raise ArgumentError(
                f"the function returned a tensor of dtype {', '.join(wrong)}; gradients exist for floating and complex "
                "results only. Return other things as aux, with has_aux=True"
            )

    def aux_tensors(self) -> list[Any]:
        """Return the tensors among the leaves of aux."""
        return [leaf for leaf in flatten(self.aux) if is_tensor(leaf)] if self._has_aux else []

    def rebuild(self, outputs: Sequence[Any], aux_tensors: Sequence[Any]) -> tuple[Any, Any]:
        """Return value and aux with other tensors in their places."""
        remaining = iter(aux_tensors)
        aux = self.aux
        if self._has_aux:
            aux = transform(lambda leaf: next(remaining) if is_tensor(leaf) else leaf, aux)
        return pack(self.value, outputs), aux


def _value_tensors(value: Any) -> list[Any]:
    leaves = flatten(value, none_is_leaf=value is None)
    for leaf in leaves:
        if not is_tensor(leaf):
            raise ArgumentError(
                f"the function returned a {type(leaf).__name__} where a tensor is needed; return other things as "
                "aux, with has_aux=True"
            )
    return [_tensor(leaf) if is_variable(leaf) else leaf for leaf in leaves]

"""A group of Keras variables, such as a model's or an optimizer's, as named arrays; and how these fit another group.

Keras numbers what has no name, differently each time. So variables are found by their paths where all of these are
equal, and else by their order, where paths are compared without the numbers. Shapes and dtypes have to agree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unikeras import backends
from unikeras.training.checkpoints._nested_state import Arrays
from unikeras.training.checkpoints._tensor_header import TensorSpec

# A number that Keras appended to a name: "dense_3/kernel", and in an optimizer's slots "adam/dense_3_kernel_momentum".
_APPENDED = re.compile(r"_\d+(?=[_/]|$)")


class VariableGroup:
    """Variables in the order in which their owner has them.

    Args:
        name: of the group; its arrays' names begin with it.
        variables: with `path`, `value` and `assign`, as Keras' variables have them.
    """

    def __init__(self, name: str, variables: Sequence[Any]) -> None:
        self.name = name
        self._variables = dict(zip(_unique_paths(variables), variables, strict=True))

    def save(self, arrays: Arrays) -> list[str]:
        """Put the values into `arrays`, perhaps in the memory of the variables; return the paths in order."""
        for path, variable in self._variables.items():
            arrays[f"{self.name}/{path}"] = _value_of(variable)
        return list(self._variables)

    def matches(self, paths: Sequence[str]) -> dict[str, str] | None:
        """Return for each path of a file the path here; None where they cannot be told.

        Args:
            paths: in their order.
        """
        own = list(self._variables)
        if set(paths) == set(own):
            return {path: path for path in paths}
        if list(map(_without_numbers, paths)) == list(map(_without_numbers, own)):
            return dict(zip(paths, own, strict=True))
        return None

    def paths_of(self, variables: Sequence[Any]) -> list[str] | None:
        """Return the paths of some of the variables; None where one is not in the group."""
        own = {id(variable): path for path, variable in self._variables.items()}
        return [own[id(one)] for one in variables] if all(id(one) in own for one in variables) else None

    def find(self, paths: Sequence[str], wanted: Sequence[str]) -> list[Any] | None:
        """Return the variables here that belong to some paths of a file; None where they cannot be told.

        Args:
            paths: all those of the file, in their order.
            wanted: some of them.
        """
        matches = self.matches(paths)
        return None if matches is None else [self._variables[matches[path]] for path in wanted]

    def differences(self, paths: Sequence[str], arrays: Mapping[str, np.ndarray[Any, Any]]) -> list[str]:
        """Say of each variable that does not fit what is wrong with it.

        Args:
            paths: those of the file, in their order.
            arrays: the arrays of the file.
        """
        matches = self.matches(paths)
        if matches is None:
            return [*self._unmatched(paths)]
        found = []
        for path, own in matches.items():
            saved, here = arrays[f"{self.name}/{path}"], _value_of(self._variables[own])
            if saved.shape != here.shape or not _can_become(saved, here.dtype):
                found.append(
                    f"{self.name}: {own} is {TensorSpec.of(here)} here and {TensorSpec.of(saved)} in the checkpoint"
                )
        return found

    def _unmatched(self, paths: Sequence[str]) -> list[str]:
        from difflib import SequenceMatcher

        own = list(self._variables)
        matcher = SequenceMatcher(
            None, list(map(_without_numbers, paths)), list(map(_without_numbers, own)), autojunk=False
        )
        found = []
        for kind, a, b, c, d in matcher.get_opcodes():
            if kind != "equal":
                found += [f"{self.name}: {path} is in the checkpoint, and not here" for path in paths[a:b]]
                found += [f"{self.name}: {path} is here, and not in the checkpoint" for path in own[c:d]]
        return found

    def restore(self, paths: Sequence[str], arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Assign the values of a file in which there are no `differences`."""
        for path, own in (self.matches(paths) or {}).items():
            variable, array = self._variables[own], arrays[f"{self.name}/{path}"]
            variable.assign(array.astype(_value_of(variable).dtype, copy=False))


def _can_become(array: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> bool:
    """Say whether an array is of a dtype, or of integers that are the same there.

    Keras has seeds and counts as other integers on each backend.
    """
    if array.dtype == dtype:
        return True
    if array.dtype.kind not in "iu" or dtype.kind not in "iu":
        return False
    limits = np.iinfo(dtype)
    return array.size == 0 or (int(array.min()) >= limits.min and int(array.max()) <= limits.max)


def _value_of(variable: Any) -> np.ndarray[Any, Any]:
    return backends.current().to_numpy(variable.value)


def _unique_paths(variables: Sequence[Any]) -> list[str]:
    """Return the paths; one that occurs again gets a number after a sign that no name of Keras has."""
    seen: dict[str, int] = {}
    paths = []
    for variable in variables:
        count = seen[variable.path] = seen.get(variable.path, -1) + 1
        paths.append(f"{variable.path}#{count}" if count else variable.path)
    return paths


def _without_numbers(path: str) -> str:
    return _APPENDED.sub("", path)

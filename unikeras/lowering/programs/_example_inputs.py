"""The inputs of an example call of a module: tensors, and how they are nested."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from unikeras._specs.structure import put_together, take_apart
from unikeras.errors import ArgumentError
from unikeras.lowering import _torch_weights as _weights

# What a program can be fixed to; a tensor's place is its number.
_FIXED = (bool, int, float, str)


@dataclass(frozen=True)
class ExampleInputs:
    """An example call.

    Attributes:
        nested: the arguments with numbers in the place of leaves: a list, or a dict where they go by keyword.
        leaves: tensors, None and fixed values, in the order of those numbers.
        paths: of each leaf, such as `"inputs[0]['mask']"`.
    """

    nested: Any
    leaves: Sequence[Any]
    paths: Sequence[str]

    @classmethod
    def of_call(cls, inputs: Any) -> ExampleInputs:
        """Take apart positional arguments in a tuple, keyword arguments in a dict, or one tensor.

        Raises:
            ArgumentError: leaves are neither tensors, None nor plain values; all of them are named.
        """
        inputs = [inputs] if not isinstance(inputs, (list, tuple, Mapping)) else inputs
        nested, leaves = take_apart(inputs)
        leaves = [
            _weights.tensor(leaf) if isinstance(leaf, (np.ndarray, np.generic)) else leaf for leaf in leaves
        ]
        paths = _paths(nested, "inputs")
        problems = [
            f"{path} is a {type(leaf).__name__}"
            for path, leaf in zip(paths, leaves, strict=True)
            if not isinstance(leaf, (torch.Tensor, type(None), *_FIXED))
        ]
        if problems:
            raise ArgumentError(
                f"a module's example inputs are tensors of torch, numbers, strings and None, in tuples, lists and "
                f"dicts: {'; '.join(problems)}"
            )
        return cls(nested, leaves, paths)

    @property
    def tensors(self) -> list[int]:
        """The numbers of the leaves that are tensors."""
        return [number for number, leaf in enumerate(self.leaves) if isinstance(leaf, torch.Tensor)]

    @property
    def structure(self) -> Any:
        """The structure for a program: a tensor's number among the tensors, None, or a fixed value as JSON text."""
        numbers = {leaf: number for number, leaf in enumerate(self.tensors)}
        return put_together(
            self.nested,
            [
                numbers[at] if at in numbers else None if leaf is None else json.dumps(leaf)
                for at, leaf in enumerate(self.leaves)
            ],
        )

    def on(self, device: torch.device) -> ExampleInputs:
        """Return the same call with its tensors on a device."""
        return self.with_leaves(
            [leaf.to(device) if isinstance(leaf, torch.Tensor) else leaf for leaf in self.leaves]
        )

    def with_leaves(self, leaves: Sequence[Any]) -> ExampleInputs:
        """Return the same call with other leaves."""
        return ExampleInputs(self.nested, leaves, self.paths)

    def call_arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the positional and the keyword arguments."""
        arguments = put_together(self.nested, self.leaves)
        return ((), arguments) if isinstance(arguments, dict) else (tuple(arguments), {})


def _paths(nested: Any, path: str) -> list[str]:
    if isinstance(nested, dict):
        return [found for key, inner in nested.items() for found in _paths(inner, f"{path}[{key!r}]")]
    if isinstance(nested, list):
        return [found for at, inner in enumerate(nested) for found in _paths(inner, f"{path}[{at}]")]
    return [path]

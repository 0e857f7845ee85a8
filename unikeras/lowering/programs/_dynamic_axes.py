"""Which axes of a module's inputs are dynamic, as a user says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from unikeras.errors import ArgumentValueError
from unikeras.lowering.programs._example_inputs import ExampleInputs

# By the number of a leaf: the names of its dynamic axes; "" for one without a name.
Axes = dict[int, dict[int, str]]


def read_axes(dynamic: Any, inputs: ExampleInputs) -> Axes:
    """Return the dynamic axes of each tensor.

    Args:
        dynamic: nested as the inputs are, with `{axis: name}` or a tuple of names, or None for each tensor. None
            alone: the first axis of every tensor, except of those of size 1 next to larger ones.
        inputs: the example.

    Raises:
        ArgumentValueError: it does not fit the inputs; all problems are named.
    """
    if dynamic is None:
        return _first_axes(inputs)
    problems: list[str] = []
    if not isinstance(inputs.nested, dict) and not isinstance(dynamic, (list, tuple)):
        dynamic = [dynamic]
    axes: Axes = {}
    _walk(inputs.nested, dynamic, "dynamic", inputs, axes, problems)
    problems += _unequal(axes, inputs)
    if problems:
        raise ArgumentValueError(f"dynamic= does not fit the example inputs: {'; '.join(problems)}")
    return axes


def enlarge(inputs: ExampleInputs, axes: Axes) -> ExampleInputs:
    """Return the example with two of what a dynamic axis has one or none of.

    torch.export takes the sizes 0 and 1 as fixed, because broadcasting depends on them.
    """
    leaves = list(inputs.leaves)
    for number, names in axes.items():
        for axis in names:
            leaf = leaves[number]
            if leaf.shape[axis] == 0:
                leaves[number] = leaf.new_zeros(
                    [2 if at == axis else size for at, size in enumerate(leaf.shape)]
                )
            elif leaf.shape[axis] == 1:
                leaves[number] = torch.cat([leaf, leaf], axis)
    return inputs.with_leaves(leaves)


def _first_axes(inputs: ExampleInputs) -> Axes:
    sizes = {
        number: inputs.leaves[number].shape[0] for number in inputs.tensors if inputs.leaves[number].ndim
    }
    is_one = all(size == 1 for size in sizes.values())
    return {number: {0: ""} for number, size in sizes.items() if size != 1 or is_one}


def _walk(nested: Any, said: Any, path: str, inputs: ExampleInputs, axes: Axes, problems: list[str]) -> None:
    if said is None:
        return
    if isinstance(nested, dict):
        if not isinstance(said, Mapping) or (unknown := [key for key in said if key not in nested]):
            what = f"no input is called {unknown[0]!r}" if isinstance(said, Mapping) else "expected a dict"
            problems.append(f"{path}: {what}; the inputs are {', '.join(map(repr, nested))}")
            return
        for key, inner in said.items():
            _walk(nested[key], inner, f"{path}[{key!r}]", inputs, axes, problems)
    elif isinstance(nested, list):
        if not isinstance(said, (list, tuple)) or len(said) != len(nested):
            problems.append(f"{path}: expected {len(nested)} entries, one for each input")
            return
        for at, (inner, one) in enumerate(zip(nested, said, strict=True)):
            _walk(inner, one, f"{path}[{at}]", inputs, axes, problems)
    else:
        _read_leaf(nested, said, path, inputs, axes, problems)


def _read_leaf(
    number: int, said: Any, path: str, inputs: ExampleInputs, axes: Axes, problems: list[str]
) -> None:
    leaf = inputs.leaves[number]
    if not isinstance(leaf, torch.Tensor):
        problems.append(f"{path}: {inputs.paths[number]} is no tensor")
        return
    if isinstance(said, str) or not isinstance(said, (Mapping, list, tuple)):
        problems.append(f"{path}: expected {{axis: name}} or a tuple of names, received {said!r}")
        return
    items = said.items() if isinstance(said, Mapping) else enumerate(said)
    for axis, name in items:
        if not isinstance(axis, int) or not -leaf.ndim <= axis < leaf.ndim:
            problems.append(f"{path}: {inputs.paths[number]} has {leaf.ndim} axes, and no axis {axis!r}")
        elif (known := _name(name)) is not None:
            axes.setdefault(number, {})[axis % leaf.ndim] = known


def _name(said: Any) -> str | None:
    """Return the name of a dynamic axis, and None for a static one; `torch.export.Dim` works too."""
    if said is None or said is False or said is torch.export.Dim.STATIC or type(said) is int:
        return None
    if isinstance(said, str):
        return said
    hints = (True, torch.export.Dim.AUTO, torch.export.Dim.DYNAMIC)
    return "" if any(said is hint for hint in hints) else str(said.__name__)


def _unequal(axes: Axes, inputs: ExampleInputs) -> list[str]:
    first: dict[str, tuple[str, int]] = {}
    problems = []
    for number, names in axes.items():
        for axis, name in names.items():
            here = f"axis {axis} of {inputs.paths[number]}"
            size = inputs.leaves[number].shape[axis]
            where, known = first.setdefault(name, (here, size)) if name else (here, size)
            if known != size:
                problems.append(f"{name!r} is {known} for {where} and {size} for {here}")
    return problems

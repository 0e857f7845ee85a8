"""Inputs that an imported module is tried on: like the example, with other values at other sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from unikeras._specs.torch_program import ProgramTensor, TorchProgram
from unikeras.interop._program_inputs import size_problems

Array = np.ndarray[Any, Any]

# All dynamic axes change alike, so that sizes that were equal stay equal. Not every module takes every size.
_SIZES: tuple[Callable[[int], int], ...] = (
    lambda size: size + 1,
    lambda size: size + 2,
    lambda size: 2 * size,
    lambda size: size - 1,
    lambda size: 3 * size,
    lambda size: size,
)


def trial_inputs(program: TorchProgram, example: Sequence[Array]) -> Iterator[list[Array]]:
    """Yield inputs of one set of sizes after the other, those that differ from the example's first.

    Args:
        program: what they are for.
        example: the arrays of the example call, in the order of the program's inputs.
    """
    rng = np.random.default_rng(0)
    seen: set[tuple[tuple[int, ...], ...]] = set()
    for size in _SIZES:
        shapes = tuple(
            _sized(one, array.shape, size) for one, array in zip(program.inputs, example, strict=True)
        )
        is_outside = any(size_problems(program, at, shape) for at, shape in enumerate(shapes))
        if shapes not in seen and not is_outside and all(axis > 0 for shape in shapes for axis in shape):
            seen.add(shapes)
            yield [_like(array, shape, rng) for array, shape in zip(example, shapes, strict=True)]


def _sized(tensor: ProgramTensor, shape: Sequence[int], size: Callable[[int], int]) -> tuple[int, ...]:
    # A dynamic axis of 1 counts as 2, as in the export.
    return tuple(
        size(max(has, 2)) if wanted is None else has for wanted, has in zip(tensor.shape, shape, strict=True)
    )


def _like(array: Array, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Return other values of the example's kind: lengths and positions stay sorted, masks stay masks."""
    for axis, size in enumerate(shape):
        at = np.minimum(np.arange(size), array.shape[axis] - 1) if array.shape[axis] else np.zeros(size, int)
        array = array.take(at, axis) if array.shape[axis] else np.zeros(shape, array.dtype)
    if array.dtype.kind == "i" and not _is_sorted(array) and len(np.unique(array)) > 2:
        return rng.permutation(array.reshape(-1)).reshape(shape)
    is_mask = len(np.unique(array)) == 2 or not np.isfinite(array.astype("float32")).all()
    if array.dtype.kind in "biu" or is_mask:
        return array
    return (array + rng.normal(0, 0.1, shape) * _spread(array)).astype(array.dtype)


def _spread(array: Array) -> float:
    """Return how far the numbers of an array lie apart; of an example that is constant, how far others may.

    Equal numbers would not do: behind a normalization they are rounding, and its sign decides a ReLU's gradient.
    """
    numbers = array.astype("float32")
    if np.ptp(numbers) > 0:
        return float(np.std(numbers))
    return float(np.abs(numbers).max(initial=0)) or 10.0


def _is_sorted(array: Array) -> bool:
    return bool(array.ndim and (np.diff(array, axis=-1) >= 0).all())

"""Sequences of unequal length in one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unikeras.data import _examples
from unikeras.errors import ArgumentValueError, DatasetError


def stack_padded(
    examples: Sequence[Any],
    pad: float,
    length: int | None = None,
    is_sequence: Sequence[bool] | None = None,
    keep: str | None = None,
) -> Any:
    """Return one structure of arrays, shape (batch, length, ...) where sequences are.

    Args:
        examples: of one structure.
        pad: the number behind the end of a sequence.
        length: what to fill up to; None for the longest sequence.
        is_sequence: which leaves are sequences; None for those that differ in length.
        keep: "lengths", "mask", "weight" or None.

    Raises:
        DatasetError: examples differ in more than length, or have no place for what is kept.
    """
    _examples.check_structure(examples)
    columns = list(
        zip(*([_examples.to_array(leaf) for leaf in _examples.leaves(one)] for one in examples), strict=False)
    )
    sizes = [[array.shape[0] if array.ndim else -1 for array in column] for column in columns]
    chosen = is_sequence if is_sequence is not None else [len(set(row)) > 1 for row in sizes]
    filled = iter(
        [
            [_fill(array, pad, length or max(row)) for array in column] if padded else list(column)
            for column, row, padded in zip(columns, sizes, chosen, strict=True)
        ]
    )
    by_example = zip(*filled, strict=True)
    padded_examples = [
        _with_leaves(example, iter(arrays)) for example, arrays in zip(examples, by_example, strict=True)
    ]
    batch = _examples.stack(padded_examples)
    return batch if keep is None else _keep(batch, sizes, chosen, keep)


def _with_leaves(example: Any, arrays: Any) -> Any:
    return _examples.map_leaves(lambda _: next(arrays), example)


def _fill(array: np.ndarray, pad: float, length: int) -> np.ndarray:
    if array.dtype.kind in "iu":
        bounds = np.iinfo(array.dtype)
        if not bounds.min <= pad <= bounds.max or pad != int(pad):
            raise ArgumentValueError(f"pad={pad} is no {array.dtype}, of which the sequences are")
    if len(array) > length:
        raise DatasetError(
            f"a sequence has length {len(array)}, and had {length} or less when it was first read"
        )
    value = "" if array.dtype.kind in "US" else pad
    filled = np.full((length, *array.shape[1:]), value, array.dtype)
    filled[: len(array)] = array
    return filled


def _keep(batch: Any, sizes: list[list[int]], chosen: Sequence[bool], keep: str) -> Any:
    parts = batch if isinstance(batch, tuple) else (batch,)
    count = len(_examples.leaves(parts[0]))
    if keep == "weight":
        return _with_weight(parts, sizes[count:])
    x_leaves = [number for number in range(count) if sizes[number][0] >= 0]
    sequences = [number for number in x_leaves if chosen[number]] or x_leaves
    if not sequences:
        raise DatasetError("x has no sequence whose lengths could be kept")
    lengths = np.array(sizes[sequences[0]], np.int32)
    kept = _mask(lengths, _examples.leaves(parts[0])[sequences[0]].shape[1]) if keep == "mask" else lengths
    x = parts[0] if isinstance(parts[0], dict) else {"x": parts[0]}
    if keep in x:
        raise DatasetError(f"x has a part {keep!r} of its own; rename it in .map(f)")
    x = {**x, keep: kept}
    return (x, *parts[1:]) if isinstance(batch, tuple) else x


def _mask(lengths: np.ndarray, length: int) -> np.ndarray:
    return np.arange(length) < lengths[:, None]


def _with_weight(parts: tuple[Any, ...], sizes: list[list[int]]) -> Any:
    if len(parts) < 2 or not sizes or sizes[0][0] < 0:
        raise DatasetError(
            'keep="weight" needs a target for each step, (x, y); use keep="mask" for other targets'
        )
    y = _examples.leaves(parts[1])[0]
    weight = _mask(np.array(sizes[0]), y.shape[1]).astype(np.float32)
    if len(parts) == 3:
        given = _examples.leaves(parts[2])[0]
        weight = weight * given.reshape(len(given), -1)
    return (*parts[:2], weight)

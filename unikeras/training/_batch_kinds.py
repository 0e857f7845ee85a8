"""The kinds of batches that steps were compiled for, in the order in which they came.

Where an axis may become dynamic, the first size gets a program of its own, and the next one a program for any size;
the two may round differently. So a run that goes on makes its programs in the order of the run that was saved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from keras import ops, tree

Kind = tuple[tuple[int, ...] | None, ...]


class BatchKinds:
    """The shapes of the batches that a step has had; their dtypes and structure are those of the data."""

    def __init__(self) -> None:
        self._kinds: dict[Kind, None] = {}

    def add(self, batches: Sequence[Any]) -> None:
        """Add what the step has just had."""
        for batch in batches:
            kind = tuple([_shape(leaf) for leaf in tree.flatten(batch)])
            if kind not in self._kinds:
                self._kinds[kind] = None

    def replay(self, run: Callable[[list[Any]], Any], example: Any) -> None:
        """Run a step once for each kind, on zeros.

        Args:
            run: the step, of a list of batches.
            example: a batch of the data.
        """
        for kind in self._kinds:
            if (batch := _zeros(example, kind)) is not None:
                run([batch])

    @property
    def state(self) -> list[list[list[int] | None]]:
        """The kinds, for a checkpoint."""
        return [[None if shape is None else list(shape) for shape in kind] for kind in self._kinds]

    def restore(self, state: Any) -> None:
        """Take `state` back."""
        kinds = [tuple([None if shape is None else tuple(shape) for shape in kind]) for kind in state]
        self._kinds = dict.fromkeys(kinds)


def _shape(leaf: Any) -> tuple[int, ...] | None:
    shape = getattr(leaf, "shape", None)
    return None if shape is None else tuple(shape)


def _zeros(example: Any, kind: Kind) -> Any | None:
    """Return a batch of zeros in these shapes; None where the data has others, or is sparse."""
    leaves = tree.flatten(example)
    if [leaf is None for leaf in leaves] != [shape is None for shape in kind]:
        return None
    if not all(leaf is None or isinstance(leaf, np.ndarray) or ops.is_tensor(leaf) for leaf in leaves):
        return None
    shapes: Iterator[Any] = iter(kind)

    def zeros(leaf: Any) -> Any:
        shape = next(shapes)
        if leaf is None or isinstance(leaf, np.ndarray):
            return None if leaf is None else np.zeros(shape, leaf.dtype)
        return ops.zeros(shape, leaf.dtype)

    return tree.map_structure(zeros, example)

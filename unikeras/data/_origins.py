"""Where examples come from: arrays, or any object with a length and items."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from unikeras.data import _examples
from unikeras.errors import DatasetError

# How many rows of arrays make the checksum by which a state knows its data.
_SAMPLED = 16


class Origin(ABC):
    """Examples by number. A pure function of the number: order and randomness are of the chain.

    Attributes:
        name: what a state and error messages call it.
        classes: the names of the classes, where labels are numbers that stand for them.
    """

    name: str = "source"
    classes: tuple[str, ...] | None = None

    @abstractmethod
    def __len__(self) -> int:
        """Return how many examples there are."""

    @abstractmethod
    def example(self, index: int) -> Any:
        """Return one example: `x`, `(x, y)` or `(x, y, sample_weight)`, each a nested structure.

        Args:
            index: from 0 to the length less 1.
        """

    def rows(self, indices: np.ndarray) -> Any:
        """Return many examples at once, stacked, or None where that is no faster than one by one.

        Args:
            indices: int64, shape (batch,).
        """
        return None

    def labels(self) -> Any:
        """Return `y` of all examples without the work of `example`, or None where it has no such way."""
        return None

    def identity(self) -> str:
        """Return what tells this data from other data of the same length; "" where nothing does."""
        return ""


class Arrays(Origin):
    """Rows of arrays.

    Args:
        parts: `(x,)`, `(x, y)` or `(x, y, sample_weight)`, each a nested structure of arrays of shape (examples, ...).
    """

    name = "arrays"

    def __init__(self, parts: tuple[Any, ...]) -> None:
        # A map that changes its argument in place must not change the user's data, epoch after epoch.
        self._parts = tuple(_examples.map_leaves(_read_only, part) for part in parts)
        self._length = len(_examples.leaves(self._parts[0])[0])

    def __len__(self) -> int:
        return self._length

    def example(self, index: int) -> Any:
        return self._pick(index)

    def rows(self, indices: np.ndarray) -> Any:
        return self._pick(indices)

    def labels(self) -> Any:
        return self._parts[1] if len(self._parts) > 1 else None

    def identity(self) -> str:
        parts = []
        picked = np.linspace(0, self._length - 1, min(self._length, _SAMPLED)).astype(int)
        for name, leaf in zip(
            _examples.names_of_leaves(self._parts, "data"), _examples.leaves(self._parts), strict=True
        ):
            rows = np.ascontiguousarray(leaf[picked])
            data = repr(rows.tolist()).encode() if rows.dtype.hasobject else rows.tobytes()
            parts.append(f"{name} {leaf.dtype}{list(leaf.shape[1:])} {zlib.crc32(data):08x}")
        return "; ".join(parts)

    def _pick(self, index: Any) -> Any:
        picked = tuple(_examples.map_leaves(lambda leaf: leaf[index], part) for part in self._parts)
        # Two arrays for x would be read as (x, y).
        return picked[0] if len(picked) == 1 and not isinstance(picked[0], tuple | list) else picked


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


class Items(Origin):
    """Items of an object that has a length and takes a number.

    Args:
        items: the object.
        name: what to call it.
    """

    def __init__(self, items: Any, name: str) -> None:
        self.name = name
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def example(self, index: int) -> Any:
        example = self._items[index]
        return tuple(example) if isinstance(example, list) and _examples.is_node(example) else example


class Members:
    """Which examples of an origin a source has; looked for at first use.

    Args:
        find: returns their numbers, int64, shape (examples,).
    """

    def __init__(self, find: Callable[[], np.ndarray]) -> None:
        self._find = find
        self._found: np.ndarray | None = None

    @classmethod
    def of_all(cls, origin: Origin) -> Members:
        return cls(lambda: np.arange(len(origin), dtype=np.int64))

    def __reduce__(self) -> Any:
        return _found_members, (self.indices,)

    @property
    def indices(self) -> np.ndarray:
        if self._found is None:  # two threads may both look; they find the same
            self._found = self._find()
        return self._found


def _found_members(indices: np.ndarray) -> Members:
    return Members(lambda: indices)


def check_not_empty(length: int, name: str) -> None:
    """Refuse data without examples.

    Raises:
        DatasetError: there are none.
    """
    if length == 0:
        raise DatasetError(f"{name}: there are no examples; at least one is needed")

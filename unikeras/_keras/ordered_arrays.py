"""Keras' adapter of arrays, with an order of rows that the caller decides."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from keras import ops, tree
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter
from keras.src.trainers.data_adapters.array_slicing import convert_to_sliceable
from keras.src.trainers.data_adapters.data_adapter_utils import (
    is_jax_sparse,
    is_scipy_sparse,
    jax_sparse_to_tf_sparse,
    scipy_sparse_to_tf_sparse,
)

Rows = Any  # a slice, or an array of row numbers


class OrderedArrays(ArrayDataAdapter):
    """The arrays of one of Keras' adapters, whose batches are the rows that a function names.

    Args:
        adapter: what Keras made of arrays.
        order: returns the rows of each batch of one pass; it is called for each iterator.
    """

    def __init__(self, adapter: ArrayDataAdapter, order: Callable[[], Iterable[Rows]]) -> None:
        self.__dict__.update(vars(adapter))
        self.order = order

    @property
    def num_samples(self) -> int:
        """How many rows there are."""
        return int(self._num_samples)

    @property
    def shuffles(self) -> bool | str:
        """The argument `shuffle` of fit."""
        return "batch" if self._shuffle == "batch" else bool(self._shuffle)

    def get_torch_dataloader(self) -> Iterator[Any]:
        """Return batches of PyTorch tensors; Keras' loader would draw an order of its own."""

        def convert(sliceable: Any, indices: Rows) -> Any:
            return ops.convert_to_tensor(sliceable.convert_to_torch_compatible(sliceable[indices]))

        return self._get_iterator(convert, convert_to_sliceable(self._inputs, target_backend="torch"))

    def get_tf_dataset(self) -> Iterator[Any]:
        """Return batches as TensorFlow has them, sparse and ragged ones too; a pipeline has no position."""
        return self._get_iterator(_rows_on_tensorflow, convert_to_sliceable(self._inputs))

    def _get_iterator(self, convert: Callable[..., Any], inputs: Any) -> Iterator[Any]:
        for rows in self.order():
            cut = functools.partial(convert, indices=rows)
            yield tree.map_structure(cut, inputs, none_is_leaf=False)


def _rows_on_tensorflow(sliceable: Any, indices: Rows) -> Any:
    rows = sliceable[indices]
    if is_scipy_sparse(rows):
        return scipy_sparse_to_tf_sparse(rows)
    if is_jax_sparse(rows):
        return jax_sparse_to_tf_sparse(rows)
    return sliceable.convert_to_numpy(rows) if hasattr(rows, "iloc") else rows


def arrays_of(adapter: Any) -> Any:
    """Return the structure of arrays that an adapter of Keras cuts batches from; None where it has none."""
    return adapter._inputs if isinstance(adapter, ArrayDataAdapter) else None

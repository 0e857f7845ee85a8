"""Rows of any array that Keras can cut batches from, as numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras.src.trainers.data_adapters.array_slicing import convert_to_sliceable


def rows_of(array: Any, rows: Any) -> Any:
    """Return some rows of an array.

    Args:
        array: of shape (rows, ...): numpy, a tensor of any framework, pandas, scipy.
        rows: int64, shape (n,).

    Returns:
        A numpy array of shape (n, ...).
    """
    if isinstance(array, np.ndarray):
        return array[rows]
    sliceable = convert_to_sliceable(array)
    return np.asarray(sliceable.convert_to_numpy(sliceable[rows]))

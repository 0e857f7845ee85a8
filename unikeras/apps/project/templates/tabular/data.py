"""A table: measurements of cells and whether the tumor is benign, 569 rows that scikit-learn brings."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer

import unikeras as uk


def table() -> tuple[np.ndarray, np.ndarray]:
    """Return the columns, (569, 30) float32, and the labels, (569, 1) float32: 1 is benign."""
    raw = load_breast_cancer()
    return raw.data.astype("float32"), raw.target[:, None].astype("float32")


def load(batch_size: int = 32, seed: int = 0) -> tuple[Any, Any]:
    """Return batches of (columns, label) for training and for validation."""
    train, test = uk.data.from_arrays(*table()).split(0.8, seed=0)
    return train.shuffle(seed).batch(batch_size), test.batch(batch_size)

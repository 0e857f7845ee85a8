"""Tensors of the backend that runs here, from numpy and back."""

from __future__ import annotations

import numpy as np
from keras import ops


def numpy(value) -> np.ndarray:
    """Return a copy: what a compiled step donates is gone with the next step."""
    return np.array(ops.convert_to_numpy(value))


def tensor(values, dtype="float32"):
    return ops.convert_to_tensor(np.asarray(values), dtype=dtype)


def close(actual, expected, rtol=1e-5, atol=1e-6) -> None:
    np.testing.assert_allclose(ops.convert_to_numpy(actual), expected, rtol=rtol, atol=atol)

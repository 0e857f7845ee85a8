"""Questions to Keras' variables, and to tensors of any backend, about their dtypes."""

from __future__ import annotations

from typing import Any


def is_variable(value: Any) -> bool:
    """Say whether a value is a Keras variable."""
    import keras

    return isinstance(value, keras.Variable)


def dtype_of(tensor: Any) -> str:
    """Return a tensor's dtype under the name that all backends share."""
    import keras

    return str(keras.backend.standardize_dtype(tensor.dtype))


def is_differentiable(tensor: Any) -> bool:
    """Say whether gradients exist for a tensor's dtype."""
    return dtype_of(tensor).startswith(("float", "bfloat", "complex"))

"""Digests that tell models apart: of their weights and of their configs."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from unikeras import backends
from unikeras._keras.without_tensorflow import without_tensorflow


def sha256_of_weights(model: Any) -> str:
    """Return a digest of a model's weights: their order, shapes, dtypes and values."""
    backend = backends.current()
    digest = hashlib.sha256()
    for variable in model.weights:
        array = backend.to_numpy(variable.value)
        digest.update(f"{array.shape} {array.dtype}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def sha256_of_config(model: Any) -> str | None:
    """Return a digest of a model's Keras config; None for a class that cannot give one."""
    try:
        with without_tensorflow():
            text = json.dumps(model.get_config(), sort_keys=True, default=str)
    except Exception:  # what a user's get_config raises
        return None
    return hashlib.sha256(text.encode()).hexdigest()

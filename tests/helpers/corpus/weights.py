"""Weights from numpy: equal on all backends, and none of them zeros or ones, which hide mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np

POSITIVE = ("variance", "gamma", "scale")


def randomize(model: Any, seed: int = 0) -> Any:
    """Give every weight, statistics included, random values that keep deep networks in range."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "int" not in str(weight.dtype):
            weight.assign(_values(weight.name, tuple(weight.shape), rng).astype("float32"))
    return model


def _values(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    if any(part in name for part in POSITIVE):
        return rng.uniform(0.5, 1.5, shape)
    if len(shape) < 2:
        return rng.normal(0, 0.3, shape)
    per_channel = 2 if "depthwise" in name else 1
    limit = np.sqrt(3 / np.prod(shape[:-per_channel]))
    return rng.uniform(-limit, limit, shape)

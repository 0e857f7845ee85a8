"""Handwritten digits, 8 x 8, that scikit-learn brings; `load("cifar10")` and others are a download away."""

from __future__ import annotations

from typing import Any

import unikeras as uk


def load(batch_size: int = 32, seed: int = 0) -> tuple[Any, Any]:
    """Return batches of (pictures in [0, 1], labels) for training and for validation."""
    train, test = uk.data.load("digits")
    return train.map(scaled).shuffle(seed).batch(batch_size), test.map(scaled).batch(batch_size)


def scaled(picture: Any, label: Any) -> Any:
    return picture.astype("float32") / 255, label

"""Handwritten digits, 8 x 8, that scikit-learn brings, in [-1, 1] as the generator draws them."""

from __future__ import annotations

from typing import Any

import unikeras as uk


def load(batch_size: int = 32, seed: int = 0) -> tuple[Any, None]:
    """Return batches of pictures; there is nothing to validate with."""
    train, _ = uk.data.load("digits")
    return train.map(scaled).shuffle(seed).batch(batch_size, drop_remainder=True), None


def scaled(picture: Any, label: Any) -> Any:
    return picture.astype("float32") / 127.5 - 1

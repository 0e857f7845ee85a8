"""Many layers in one model: each takes the same input and is an output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras


def branches(shape: tuple[int | None, ...], *layers: Any, dtype: str | None = None) -> keras.Model:
    """Return a model whose outputs are what each layer, or each chain of layers, makes of the one input."""
    x = keras.Input(shape, dtype=dtype, name="x")
    return keras.Model(x, [_chain(x, layer if isinstance(layer, Sequence) else [layer]) for layer in layers])


def _chain(x: Any, layers: Sequence[Any]) -> Any:
    for layer in layers:
        x = layer(x)
    return x

"""Why a model cannot be fed in chunks."""

from __future__ import annotations

from typing import Any

from unikeras.errors import CannotStream


def refusal(path: str, layer: Any, reason: str) -> CannotStream:
    """Return the error for a layer.

    Args:
        path: the layer's path in the model.
        layer: the layer, or the operation.
        reason: why, as the end of a sentence about it.
    """
    return CannotStream(
        f"layer {path!r} ({type(layer).__name__}) {reason}, so that a sequence fed in chunks would give other numbers "
        "than the whole at once. Time may pass through recurrent layers and through layers that treat each step by "
        "itself",
        path,
    )

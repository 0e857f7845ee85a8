"""A recurrent layer that computes with the cell of another one."""

from __future__ import annotations

from typing import Any

import keras

from unikeras._keras.classes import untrack
from unikeras._keras.without_tensorflow import without_tensorflow

_OF_RNN = ("return_sequences", "return_state", "go_backwards", "stateful", "unroll", "zero_output_for_mask")


def sharing(layer: Any, cls: Any = None, **changes: Any) -> Any:
    """Return a recurrent layer like another one, over the very same cell and its variables.

    Args:
        layer: a built `keras.layers.RNN`, or one of its subclasses.
        cls: the class of the new layer; None for the same one. It takes the config of the old.
        **changes: what differs in the config, such as `return_state=True`.

    Returns:
        A built layer of the same name. It owns no variables but those of the cell.
    """
    cls = cls or type(layer)
    if cls is keras.layers.RNN:
        # A config would hold the cell too, and ask for a registered class to make another of.
        options = {name: getattr(layer, name) for name in _OF_RNN} | changes
        shared = cls(layer.cell, name=layer.name, dtype=layer.dtype_policy, **options)
    else:
        with without_tensorflow():
            shared = cls.from_config({**layer.get_config(), **changes})
        # Keras tracks a layer's parts as they are set and does not forget one that is replaced.
        untrack(shared, shared.cell)
        shared.cell = layer.cell
    shared.trainable = layer.trainable
    shared.built = True
    return shared

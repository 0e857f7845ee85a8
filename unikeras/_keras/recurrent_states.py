"""The states of `stateful=True` layers, which Keras tracks nowhere: they are no variables of their model."""

from __future__ import annotations

from typing import Any

import keras


def recurrent_states(model: Any) -> list[Any]:
    """Return the variables of the states of a model's or layer's stateful layers; unbuilt ones have none."""
    layers = [
        layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.RNN) and layer.stateful
    ]
    return [state for layer in layers for state in keras.tree.flatten(layer.states or [])]

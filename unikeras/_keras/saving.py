"""What Keras saves, and the reader of its files."""

from __future__ import annotations

from typing import Any

from keras.src.saving.keras_saveable import KerasSaveable
from keras.src.saving.object_registration import GLOBAL_CUSTOM_NAMES
from keras.src.saving.saving_lib import load_model
from keras.src.saving.serialization_lib import in_safe_mode

__all__ = ["GLOBAL_CUSTOM_NAMES", "KerasSaveable", "add_unsaved_layer", "is_code_allowed", "load_model"]


def add_unsaved_layer(layer: Any, part: Any) -> None:
    """Make a layer a part of another that saves the weights of both: saving looks for parts among attributes."""
    layer._layers.append(part)


def is_code_allowed(safe_mode: bool | None) -> bool:
    """Say whether an object that is being loaded may run code, as Keras says it for a Lambda layer.

    Args:
        safe_mode: what `from_config` was given; None: what the loading around it was given.
    """
    return (in_safe_mode() if safe_mode is None else safe_mode) is False

"""A step's model for pickle: as Keras archives it, with the classes that another process does not know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from unikeras._keras import archive
from unikeras._keras.graph import name_variables

# A model, or its archive; the classes and functions that its config names; the paths of its variables.
Packed = tuple[Any, dict[str, Any] | None, list[str]]


def pack(model: Any) -> Packed:
    """Return what `unpack` makes the model from.

    The model is pickled by itself, so that a step and a model that share weights still do so in a copy of both. Keras
    leaves classes behind that are not registered: a model of such takes them along.
    """
    content, custom = archive.pack(model)
    paths = [variable.path for variable in model.variables]
    if all(keras.saving.get_registered_object(name) or _is_of_keras(kind) for name, kind in custom.items()):
        return model, None, paths
    return content, custom, paths


def unpack(content: Any, custom: dict[str, Any] | None, paths: Sequence[str]) -> Any:
    """Return the model of what `pack` returned; its variables have the names that they had."""
    model = content if custom is None else archive.unpack(content, custom)
    name_variables(model.variables, paths)
    return model


def _is_of_keras(kind: Any) -> bool:
    return str(kind.__module__).startswith("keras.")

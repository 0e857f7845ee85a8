"""How steps are pickled and copied: as their models, which know how they are built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from unikeras._keras import archive as _models
from unikeras._keras.graph import name_variables
from unikeras.streaming._step import Step


def reduce_step(step: Step) -> tuple[Any, tuple[Any, ...]]:
    """Return what `Step.__reduce__` returns.

    The model is pickled by itself, so that a step and a model that share weights still do so in a copy of both. Keras
    leaves classes behind that are not registered: a model of such takes them along.
    """
    model = step._source
    archive, custom = _models.pack(model)
    paths = [variable.path for variable in model.variables]
    if all(keras.saving.get_registered_object(name) or _is_of_keras(kind) for name, kind in custom.items()):
        return restore, (model, step.sequence_outputs, paths)
    return restore_with_classes, (archive, custom, step.sequence_outputs, paths)


def _is_of_keras(kind: Any) -> bool:
    return str(kind.__module__).startswith("keras.")


def restore(model: Any, sequence_outputs: Sequence[bool], paths: Sequence[str]) -> Step:
    """Return a step of a model that was checked before, with the names that its variables had."""
    name_variables(model.variables, paths)
    return Step(model, sequence_outputs)


def restore_with_classes(
    archive: bytes, custom: dict[str, Any], sequence_outputs: Sequence[bool], paths: Sequence[str]
) -> Step:
    """Return a step of a saved model, given the classes and functions that its config names."""
    return restore(_models.unpack(archive, custom), sequence_outputs, paths)

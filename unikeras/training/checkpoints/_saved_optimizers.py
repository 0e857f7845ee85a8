"""For which of a model's variables its optimizers are built: a checkpoint says it, and builds those that are not.

An optimizer is often built by its first step, for the variables of a part of the model. One of a run that goes on has
no slots yet when these are restored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unikeras._keras.attached_optimizers import attached_optimizers, optimized_variables
from unikeras.errors import CorruptArtifact
from unikeras.training.checkpoints._checkpoint_file import Content
from unikeras.training.checkpoints._variable_group import VariableGroup

_BUILT_FOR = "built_for"


def optimizers_of(model: Any, optimizer: Any = None) -> dict[str, Any]:
    """Return the optimizers of a run by the names of their groups.

    Args:
        model: with attributes that are optimizers, or None.
        optimizer: the one that comes first; by default what the model was compiled with.
    """
    main = optimizer if optimizer is not None else getattr(model, "optimizer", None)
    found = {} if main is None else {"optimizer": main}
    if model is not None:
        attached = attached_optimizers(model).items()
        found |= {f"optimizers.{name}": one for name, one in attached if one is not main}
    return found


def describe(optimizers: Mapping[str, Any], model: Any) -> dict[str, Any]:
    """Return what goes into the state of a checkpoint: by group, the paths of the variables it has slots for."""
    group = VariableGroup("model", model.variables)
    found = {}
    for name, optimizer in optimizers.items():
        variables = optimized_variables(optimizer)
        paths = None if variables is None else group.paths_of(variables)
        if paths is not None:
            found[name] = paths
    return {_BUILT_FOR: found}


def build_as_saved(optimizers: Mapping[str, Any], model: Any, content: Content) -> None:
    """Build each optimizer that is not built for the variables that it had slots for when it was saved.

    Args:
        optimizers: by the names of their groups.
        model: built.
        content: of a checkpoint.

    Raises:
        CorruptArtifact: what the checkpoint says about its optimizers is no list of paths.
    """
    groups = content.state.get("groups")
    saved = groups.get("model") if isinstance(groups, dict) else None
    built_for = content.state.get(_BUILT_FOR, {})
    if not isinstance(saved, list) or not isinstance(built_for, dict):
        return
    group = VariableGroup("model", model.variables)
    for name, optimizer in optimizers.items():
        paths = built_for.get(name)
        if optimizer.built or paths is None:
            continue
        if not isinstance(paths, list) or not set(map(str, paths)) <= set(map(str, saved)):
            raise CorruptArtifact(f"{name} was built for variables that the file does not have")
        if (variables := group.find(saved, paths)) is not None:
            optimizer.build(variables)

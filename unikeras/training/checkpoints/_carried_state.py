"""All that a checkpointer saves and restores: variables in groups, and objects with a state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from unikeras import backends
from unikeras._keras.variables import is_variable
from unikeras.errors import ArgumentError, CheckpointMismatch, CorruptArtifact, StateError
from unikeras.training.checkpoints._checkpoint_file import Content
from unikeras.training.checkpoints._nested_state import join, split
from unikeras.training.checkpoints._random_state import RandomState
from unikeras.training.checkpoints._saved_optimizers import build_as_saved, describe, optimizers_of
from unikeras.training.checkpoints._variable_group import VariableGroup

# Names that no keyword can have.
_STATES, _NATIVE, _MODEL_METRICS = "model.states", "model.native", "model.metrics"
_RANDOM = "random.generators"
# What need not be in a file, or be restored: metrics begin anew with each epoch.
_OPTIONAL = {_MODEL_METRICS, _NATIVE, _RANDOM}
# The position of fit, which means nothing to a loop of one's own.
_OF_FIT = "fit"


class CarriedState:
    """The parts of a training run that a checkpoint holds.

    Args:
        model: a Keras model or layer, or None.
        optimizer: a Keras optimizer; None for the one that the model was compiled with.
        metrics: a Keras metric, or a nested structure of them, or None.
        named: other parts by name: Keras objects with variables, and objects with `state` and `restore`.

    Raises:
        ArgumentError: a part is nothing that can be saved.
    """

    def __init__(self, model: Any, optimizer: Any, metrics: Any, named: Mapping[str, Any]) -> None:
        self.model, self._optimizer, self._metrics = model, optimizer, metrics
        self._objects: dict[str, Any] = {_RANDOM: RandomState()}
        self._keras_objects: dict[str, Any] = {}
        for name, part in named.items():
            if not name.isidentifier():  # such names are those of our own parts
                raise ArgumentError(f"{name!r} cannot be the name of a part; it has to be an identifier")
            if _has_state(part):
                self._objects[name] = part
            elif _variables_of(part) is not None:
                self._keras_objects[name] = part
            else:
                raise ArgumentError(
                    f"{name}={part!r:.100} cannot be saved; it has to be a Keras object with variables, or to have a "
                    "property `state`, of dictionaries, lists, numbers, str and numpy arrays, and a method "
                    "`restore(state)`"
                )
        if metrics is not None and _variables_of(metrics) is None:
            raise ArgumentError(f"metrics has to be Keras metrics; received {metrics!r:.100}")
        if model is not None and not hasattr(model, "variables"):
            raise ArgumentError(f"model has to be a Keras model or layer; received {model!r:.100}")
        if optimizer is not None and not (hasattr(optimizer, "variables") and hasattr(optimizer, "build")):
            raise ArgumentError(f"optimizer has to be a Keras optimizer; received {optimizer!r:.100}")

    @property
    def optimizer(self) -> Any | None:
        """The optimizer passed, or that of the model."""
        return self._optimizer if self._optimizer is not None else getattr(self.model, "optimizer", None)

    @property
    def _optimizers(self) -> dict[str, Any]:
        """All optimizers by the names of their groups, without those that were passed by name."""
        named = [id(part) for part in self._keras_objects.values()]
        found = optimizers_of(self.model, self._optimizer)
        return {name: one for name, one in found.items() if id(one) not in named}

    @property
    def step(self) -> int | None:
        """How often the optimizer was applied; None without one."""
        import keras

        iterations = getattr(self.optimizer, "iterations", None)
        # With accumulated gradients it is no variable but a tensor.
        return None if iterations is None else int(keras.ops.convert_to_numpy(iterations))

    def save(self) -> Content:
        """Return copies of all values."""
        content = Content({"step": self.step, "groups": {}, "objects": {}})
        for group in self._groups():
            content.state["groups"][group.name] = group.save(content.arrays)
        if self.model is not None:
            content.state |= describe(self._optimizers, self.model)
        for name, part in self._objects.items():
            content.state["objects"][name] = split(part.state, name, content.arrays)
        return content

    def restore(self, content: Content) -> None:
        """Put back what `save` returned: all of it, or, where a part does not fit, nothing.

        Raises:
            CheckpointMismatch: parts do not fit; the error names all differences.
            CorruptArtifact: the content contradicts itself.
        """
        if getattr(self.model, "built", False):
            build_as_saved(self._optimizers, self.model, content)
        groups = {group.name: group for group in self._groups()}
        saved = _checked_groups(content)
        objects = content.state.get("objects")
        if not isinstance(objects, dict):
            raise CorruptArtifact("it has no states of objects")
        states = {name: join(objects[name], content.arrays) for name in self._objects if name in objects}
        self._check(groups, saved, content, objects)
        self._restore_objects(states)
        for name, group in groups.items():
            if name in saved and not group.differences(saved[name], content.arrays):
                group.restore(saved[name], content.arrays)

    def skipped_by_restore(self, content: Content) -> list[str]:
        """Return the names of what a checkpoint holds and nobody here asked for."""
        here = {*(group.name for group in self._groups()), *self._objects, *_OPTIONAL, _OF_FIT}
        return [name for name in [*content.state["groups"], *content.state["objects"]] if name not in here]

    def _check(
        self,
        groups: Mapping[str, VariableGroup],
        saved: Mapping[str, list[str]],
        content: Content,
        objects: Mapping[str, Any],
    ) -> None:
        differences = [
            f"{name} is not in the checkpoint"
            for name in [*groups, *self._objects]
            if name not in saved and name not in objects and name not in _OPTIONAL
        ]
        if "model" in groups and _STATES in saved and _STATES not in groups:
            differences += VariableGroup(_STATES, []).differences(saved[_STATES], content.arrays)
        for name, group in groups.items():
            if name in saved and not (name == _MODEL_METRICS and group.matches(saved[name]) is None):
                differences += group.differences(saved[name], content.arrays)
        if differences:
            raise CheckpointMismatch(
                "the checkpoint does not fit, and nothing was restored:\n  " + "\n  ".join(differences),
                differences,
            )

    def _restore_objects(self, states: Mapping[str, Any]) -> None:
        before: dict[str, Any] = {}
        try:
            for name, state in states.items():
                before[name] = self._objects[name].state
                self._objects[name].restore(state)
        except BaseException:
            for name, state in before.items():
                self._objects[name].restore(state)
            raise

    def _groups(self) -> Iterator[VariableGroup]:
        """Yield the groups, with the optimizer's slots made."""
        from unikeras._keras.recurrent_states import recurrent_states

        model, optimizer = self.model, self.optimizer
        if model is not None:
            if not getattr(model, "built", True):
                raise StateError(
                    f"{model.name!r} has no weights yet; call it on a batch, or build it, before its checkpoints are "
                    "saved or restored"
                )
            yield VariableGroup("model", model.variables)
            if states := recurrent_states(model):
                yield VariableGroup(_STATES, states)
            if native := backends.current().native_variables(model):
                yield VariableGroup(_NATIVE, native)
            if metrics := getattr(model, "metrics_variables", None):
                yield VariableGroup(_MODEL_METRICS, metrics)
        if optimizer is not None and not optimizer.built and model is not None:
            optimizer.build(model.trainable_variables)
        for name, one in self._optimizers.items():
            yield VariableGroup(name, one.variables)
        if self._metrics is not None:
            yield VariableGroup("metrics", _variables_of(self._metrics) or [])
        for name, part in self._keras_objects.items():
            yield VariableGroup(name, _variables_of(part) or [])


def _checked_groups(content: Content) -> dict[str, list[str]]:
    groups = content.state.get("groups")
    if not isinstance(groups, dict):
        raise CorruptArtifact("it has no groups of variables")
    for name, paths in groups.items():
        if not isinstance(paths, list) or not all(
            isinstance(path, str) and f"{name}/{path}" in content.arrays for path in paths
        ):
            raise CorruptArtifact(f"the group {name!r:.100} names variables that the file does not have")
    return groups


def _has_state(part: Any) -> bool:
    return hasattr(type(part), "state") and callable(getattr(part, "restore", None))


def _variables_of(part: Any) -> list[Any] | None:
    """Return the variables of a Keras object, or of a structure of them; None where it is something else."""
    import keras

    if is_variable(part):
        return [part]
    if isinstance(part, keras.random.SeedGenerator):
        return [part.state]
    if isinstance(part, keras.Layer | keras.Optimizer | keras.Metric):
        return list(part.variables)
    if isinstance(part, list | tuple | dict):
        found = [_variables_of(one) for one in (part.values() if isinstance(part, dict) else part)]
        return None if None in found else [v for variables in found for v in variables or []]
    return None

"""Slots of an optimizer for variables that it was not built with, such as those of a layer that was unfrozen.

Keras builds an optimizer once. Here `build` runs again over all variables, in the order in which a new optimizer
would get them (files store slots in this order), and the old slots take the places of the new ones that it made
for the old variables: they stay the objects that they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from unikeras.errors import StateError


def grow(optimizer: Any, variables: Sequence[Any]) -> None:
    """Give a built optimizer slots for those variables that it does not know.

    Raises:
        StateError: the optimizer keeps slots in a way that cannot be continued; nothing has changed then.
    """
    if not optimizer.built:
        return
    known = optimizer._trainable_variables_indices
    new = [variable for variable in variables if optimizer._var_key(variable) not in known]
    if not new:
        return
    keys = {optimizer._var_key(variable) for variable in variables}
    rest = [v for v in optimizer._trainable_variables if optimizer._var_key(v) not in keys]
    inner = getattr(optimizer, "inner_optimizer", None)
    if inner is not None:
        grow(inner, variables)
        indices = {optimizer._var_key(v): i for i, v in enumerate([*variables, *rest])}
        _set(optimizer, _trainable_variables_indices=indices, _trainable_variables=[*variables, *rest])
        return
    if isinstance(optimizer, getattr(keras.optimizers, "MultiOptimizer", ())):
        raise _cannot(optimizer, new)
    before, tracked = dict(vars(optimizer)), list(optimizer._variables)
    _rebuild(optimizer, [*variables, *rest], new, before, tracked)


def _rebuild(
    optimizer: Any, variables: list[Any], new: list[Any], before: dict[str, Any], tracked: list[Any]
) -> None:
    places = dict(optimizer._trainable_variables_indices)
    _set(optimizer, _trainable_variables_indices={}, built=False)
    try:
        optimizer.build(variables)
        old = _old_slots(optimizer, variables, before, places)
        fresh = [v for v in optimizer._variables if id(v) not in set(map(id, tracked))]
        if set(map(id, tracked)) - set(map(id, _base(optimizer))) - {id(v) for v in old.values()}:
            raise _cannot(optimizer, new)
    except BaseException:
        for variable in [v for v in optimizer._variables if id(v) not in set(map(id, tracked))]:
            optimizer._untrack_variable(variable)
        vars(optimizer).update(before)
        raise
    for variable in fresh:
        if id(variable) in old:
            optimizer._untrack_variable(variable)
    kept = [v for v in tracked if id(v) not in {id(slot) for slot in old.values()}]
    optimizer_variables = [*kept, *(old.get(id(v), v) for v in fresh)]
    list.__setitem__(_raw(optimizer._variables), slice(None), optimizer_variables)
    if optimizer.use_ema:  # an average that began at zero would pull the weights to zero
        for variable in new:
            average = optimizer._model_variables_moving_average[optimizer._get_variable_index(variable)]
            if average is not None:
                average.assign(variable)


def _raw(values: Any) -> Any:
    """Return the list itself: TensorFlow holds it in a wrapper that compares variables."""
    return getattr(values, "_storage", values)


def _base(optimizer: Any) -> list[Any]:
    return [v for v in (optimizer._iterations, optimizer._learning_rate) if isinstance(v, keras.Variable)]


def _old_slots(
    optimizer: Any, variables: list[Any], before: dict[str, Any], places: dict[Any, int]
) -> dict[int, Any]:
    """Put the old slots where `build` put new ones for the same variables; return them by the id of the new ones."""
    old: dict[int, Any] = {}
    for name, value in list(vars(optimizer).items()):
        was = before.get(name)
        if value is was or name.startswith("_trainable_variables"):
            continue
        if isinstance(value, keras.Variable) and isinstance(was, keras.Variable):
            old[id(value)] = was
            vars(optimizer)[name] = was
        elif isinstance(value, list) and isinstance(was, list) and len(was) == len(places):
            for i, variable in enumerate(variables):
                place = places.get(optimizer._var_key(variable))
                if place is not None and isinstance(was[place], keras.Variable):
                    old[id(value[i])] = was[place]
                    # The list of Keras would track the slot a second time.
                    list.__setitem__(_raw(value), i, was[place])
    return old


def _set(optimizer: Any, **attributes: Any) -> None:
    vars(optimizer).update(attributes)


def _cannot(optimizer: Any, new: list[Any]) -> StateError:
    return StateError(
        f"{type(optimizer).__name__} {optimizer.name!r} was built for other variables, and has no slots for "
        f"{', '.join(variable.path for variable in new[:4])}{', ...' if len(new) > 4 else ''}; nothing was changed. "
        "Call compile() with a new optimizer, or build the optimizer on all variables "
        "(optimizer.build(model.variables)) before some of them are frozen"
    )

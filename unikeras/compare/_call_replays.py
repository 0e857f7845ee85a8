"""Each layer alone, on the first side's inputs: a layer that differs shows it, whatever comes before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unikeras import backends
from unikeras._base.text import brief
from unikeras._keras.graph import set_mask
from unikeras._keras.layer_calls import Part, walk
from unikeras._keras.variables import is_differentiable
from unikeras.autodiff import GradientTape
from unikeras.compare._gaps import Array
from unikeras.compare._side_records import LayerCall, Replay, Sent, SideRun


def replay_calls(
    first: SideRun, pairs: Sequence[tuple[LayerCall, LayerCall]], root: Part
) -> dict[int, Replay]:
    """Run layers alone, as they were called on the first side; by the number of that call there.

    Args:
        first: the first side's run.
        pairs: calls of the first side, each with that of this side that belongs to it.
        root: this side's model; its variables are afterwards what they were before.
    """
    parts = {part.path: part for part in walk(root)}
    numbers = {id(call): number for number, call in enumerate(first.calls)}
    trained = {call.name: number for number, call in enumerate(first.training)}
    found = {}
    for call, own in pairs:
        if not call.is_leaf or call.arguments is None:
            continue
        number = trained.get(call.name)
        training = None if number is None else (first.training[number], first.cotangents[number])
        found[numbers[id(call)]] = _replayed(parts[own.path], call, training)
    return found


def _replayed(part: Part, call: LayerCall, training: tuple[LayerCall, list[Array | None]] | None) -> Replay:
    try:
        args, kwargs = _tensors(call)
        outputs = _arrays(_run(part, args, kwargs, training=False))
        if training is None or training[0].arguments is None:
            return Replay(outputs)
        return _replayed_training(part, outputs, *training)
    except Exception as error:  # a layer of another shape may raise anything on these inputs
        return Replay(error=brief(error))


def _replayed_training(
    part: Part, outputs: list[Array], call: LayerCall, cotangents: list[Array | None]
) -> Replay:
    import keras

    layer = part.operation
    variables = list(getattr(layer, "trainable_variables", ()))
    kept = [(variable, _array(variable.value)) for variable in getattr(layer, "non_trainable_variables", ())]
    args, kwargs = _tensors(call)
    inputs = [one for one in keras.tree.flatten((args, kwargs)) if _is_tensor(one) and is_differentiable(one)]
    with GradientTape() as tape:
        for one in inputs:
            tape.watch(one)
        results = _run(part, args, kwargs, training=not part.draws)
    given = [
        (result, cotangent)
        for result, cotangent in zip(results, cotangents, strict=False)
        if cotangent is not None and is_differentiable(result)
    ]
    state = {f"{number} {variable.name}": _array(variable.value) for number, (variable, _) in enumerate(kept)}
    for variable, value in kept:
        variable.assign(value)
    names = [f"input {number}" for number in range(len(inputs))] + [
        f"{number} {variable.name}" for number, variable in enumerate(variables)
    ]
    gradients: list[Any] = [None] * len(names)
    if given and names:
        gradients = tape.gradient(
            [result for result, _ in given],
            [*inputs, *variables],
            output_gradients=[keras.ops.convert_to_tensor(cotangent) for _, cotangent in given],
        )
    found = {
        name: _array(gradient)
        for name, gradient in zip(names, gradients, strict=True)
        if gradient is not None
    }
    return Replay(outputs, _arrays(results), state, found)


def _run(part: Part, args: Any, kwargs: dict[str, Any], training: bool) -> list[Any]:
    import keras

    if part.takes_training:
        kwargs = {**kwargs, "training": training}
    return [one for one in keras.tree.flatten(part.operation(*args, **kwargs)) if one is not None]


def _tensors(call: LayerCall) -> Any:
    import keras

    return keras.tree.map_structure(_tensor, call.arguments)


def _tensor(leaf: Any) -> Any:
    import keras

    if not isinstance(leaf, Sent):
        return leaf
    tensor = keras.ops.convert_to_tensor(leaf.array)
    if leaf.mask is not None:
        set_mask(tensor, keras.ops.convert_to_tensor(leaf.mask))
    return tensor


def _is_tensor(value: Any) -> bool:
    return backends.current().is_tensor(value)


def _array(tensor: Any) -> Array:
    return np.array(backends.current().to_numpy(tensor))


def _arrays(tensors: Sequence[Any]) -> list[Array]:
    return [_array(one) for one in tensors if _is_tensor(one)]

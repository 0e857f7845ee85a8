"""What an imported module computes where torch has answered: runs in a process of its own, on plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from unikeras._specs.program_reader import read_program
from unikeras._specs.structure import take_apart
from unikeras.autodiff import GradientTape
from unikeras.functions import function
from unikeras.interop._imported_module import ImportedModule
from unikeras.interop._program_inputs import read_inputs

Array = np.ndarray[Any, Any]
Computed = dict[str, Any]

LEARNING_RATE, EPSILON = 1e-3, 1e-12


def compute_trials(
    program: str, arrays: Mapping[str, Array], trials: Sequence[tuple[Sequence[Array], Sequence[Any]]], steps: int
) -> list[Computed]:
    """Return what torch's `ModuleAnswers` have, under the same names, for each trial.

    Args:
        program: as JSON.
        arrays: values of its variables.
        trials: flat inputs, and the weights of the loss, one for each output.
        steps: how many steps of Adam.
    """
    results = []
    for inputs, weights in trials:
        model = ImportedModule(read_program(program), arrays)
        results.append(_trial(model, _named(model, inputs), weights, steps))
    return results


def compute_nodes(
    program: str, arrays: Mapping[str, Array], inputs: Sequence[Array], nodes: Iterable[str]
) -> dict[str, Array]:
    """Return the values of nodes of the graph of eval mode."""
    model = ImportedModule(read_program(program), arrays)
    _, values = model.run(_named(model, inputs), training=False, watched=set(nodes), draws=False)
    return {name: _numpy(value) for name, value in values.items() if hasattr(value, "dtype")}


def _named(model: ImportedModule, inputs: Sequence[Array]) -> dict[str, Any]:
    names = [one.name for one in model.program.inputs]
    structured = _filled(model.program.inputs_structure, inputs)
    tensors = read_inputs(model.program, (structured,) if isinstance(structured, dict) else structured, {})
    return {name: tensors[name] for name in names}


def _filled(structure: Any, leaves: Sequence[Any]) -> Any:
    if isinstance(structure, dict):
        return {key: _filled(inner, leaves) for key, inner in structure.items()}
    if isinstance(structure, list):
        return [_filled(inner, leaves) for inner in structure]
    return leaves[structure] if isinstance(structure, int) else None


def _trial(model: ImportedModule, inputs: dict[str, Any], weights: Sequence[Any], steps: int) -> Computed:
    names = [one.name for one in model.program.variables if one.trainable]
    variables = [model.named_variables[name] for name in names]
    buffers = [one.name for one in model.program.variables if one.kind != "parameter"]
    optimizer = keras.optimizers.Adam(LEARNING_RATE, epsilon=EPSILON)
    if variables:
        optimizer.build(variables)

    @function
    def evaluate(inputs: Any) -> Any:
        return _tensors(model.run(inputs, training=False, draws=False)[0])

    @function
    def train(inputs: Any) -> Any:
        with GradientTape() as tape:
            outputs, _ = model.run(inputs, training=True, draws=False)
            loss = _loss(take_apart(outputs)[1], weights)
        found = tape.gradient(loss, variables) if variables else []
        gradients = [
            ops.zeros_like(one) if gradient is None else gradient
            for gradient, one in zip(found, variables, strict=True)
        ]
        if steps and variables:
            optimizer.apply(gradients, variables)
        return _tensors(outputs), loss, gradients

    evaluated = [_numpy(one) for one in evaluate(inputs)]
    losses: list[float] = []
    first: Computed = {}
    for _ in range(max(steps, 1)):
        outputs, loss, gradients = train(inputs)
        losses.append(float(_numpy(loss)))
        if not first:
            first = {
                "trained": [_numpy(one) for one in outputs],
                "gradients": dict(zip(names, map(_numpy, gradients), strict=True)),
                "buffers": {name: _numpy(model.named_variables[name]) for name in buffers},
            }
    parameters = {name: _numpy(one) for name, one in zip(names, variables, strict=True)}
    return {**first, "evaluated": evaluated, "losses": losses[:steps], "parameters": parameters}


def _tensors(outputs: Any) -> list[Any]:
    """Return the outputs that are tensors, flat: torch's answers have None, numbers and strings besides."""
    return [leaf for leaf in take_apart(outputs)[1] if hasattr(leaf, "dtype")]


def _loss(outputs: Sequence[Any], weights: Sequence[Any]) -> Any:
    terms = [
        ops.cast(ops.sum(one * ops.cast(ops.convert_to_tensor(weight), one.dtype)), "float32")
        for one, weight in zip(outputs, weights, strict=True)
        if weight is not None
    ]
    return sum(terms[1:], start=terms[0]) if terms else ops.zeros(())


def _numpy(value: Any) -> Array:
    array = np.array(ops.convert_to_numpy(value))
    return array.astype("float32") if array.dtype.name == "bfloat16" else array

"""Models whose state is an input and an output: what an export has to know of them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from unikeras import backends
from unikeras._base.text import plain
from unikeras._keras.discovery import declared_results, inputs_of
from unikeras._keras.samples import Sizes
from unikeras._specs.signature import Signature, TensorSpec
from unikeras._specs.states import flat
from unikeras.errors import ArgumentValueError, ExportError
from unikeras.export.reference.artifact_state import ArtifactState, ReferenceSequence
from unikeras.export.reference.probe import KnownModel

# How an artifact takes a sequence that the model takes at once; each times the steps that it takes in a run.
CHUNKS = (1, 4, 7)

ONE_STEP = "takes one step at a time, so that its batch is dynamic; load_artifact(...).step takes any number of steps"


@runtime_checkable
class StepLike(Protocol):
    """What `uk.stateful` returns, as far as an export needs it.

    Attributes:
        name: what artifacts are called.
        model: a functional `keras.Model` from and to a dict of tensors: first its own, then the states.
        states: a `StateSpec` for each state.
        fingerprint: tells models apart whose memories must not be mixed.
        sequence_inputs: for each of the model's own inputs, whether its second axis is time.
        sequence_outputs: the same of its own outputs.
        results: the structure of these outputs in a call, with their numbers for leaves.
        initial_state: returns the memory of a sequence that has not begun, for a batch size.
    """

    name: str
    model: Any
    states: Any
    fingerprint: Any
    sequence_inputs: Any
    sequence_outputs: Any
    results: Any
    initial_state: Any


def artifact_state_of(step: StepLike) -> ArtifactState:
    """Return what an artifact of a step has to know of its memory.

    Raises:
        ArgumentError: the step's model lacks a state as an input or as an output.
    """
    states = tuple(step.states)
    names = [spec.name for spec in inputs_of(step.model)[1]]
    _check_has_states(step, names)
    own = [name for name in names if name not in {spec.input_name for spec in states}]
    over_time = [name for name, timed in zip(own, step.sequence_inputs, strict=True) if timed]
    return ArtifactState(
        states,
        step.fingerprint,
        tuple(over_time),
        tuple(map(bool, step.sequence_outputs)),
        _as_json(step.results),
        _initial(step),
    )


def _check_has_states(step: StepLike, inputs: list[str]) -> None:
    results = declared_results(step.model)
    outputs = results if isinstance(results, dict) else {}
    lost = [spec.input_name for spec in step.states if spec.input_name not in inputs]
    lost += [spec.output_name for spec in step.states if spec.output_name not in outputs]
    if lost:
        raise ArgumentValueError(
            f"step {step.name!r} carries {', '.join(lost)}, which its model neither takes nor returns; "
            "uk.stateful(model) makes a step that does"
        )


def _as_json(structure: Any) -> Any:
    """Return a structure with lists for tuples, and dicts in the order in which Keras numbers their leaves."""
    if isinstance(structure, dict):
        return {key: _as_json(structure[key]) for key in sorted(structure)}
    return [_as_json(inner) for inner in structure] if isinstance(structure, list | tuple) else structure


def _initial(step: StepLike) -> dict[str, Any]:
    """Return what states begin with, by the names of their inputs, where that is not zeros."""
    to_numpy = backends.current().to_numpy
    values = zip(step.states, map(to_numpy, flat(step.states, step.initial_state(1))), strict=True)
    return {spec.input_name: value[0].tolist() for spec, value in values if value.any()}


def one_step(signature: Signature, artifact_state: ArtifactState) -> dict[str, Any]:
    """Return what to ask for, as `signature=`, so that a dynamic time axis becomes one step."""
    import keras

    return {
        spec.name: keras.InputSpec(shape=(spec.shape[0], 1, *spec.shape[2:]), dtype=spec.dtype)
        for spec in signature.inputs
        if spec.name in artifact_state.sequence_inputs and spec.shape and spec.shape[1] is None
    }


def reference_sequence(
    known: KnownModel, signature: Signature, artifact_state: ArtifactState
) -> ReferenceSequence:
    """Return a seeded sequence with what a step's model makes of it at once.

    Raises:
        ExportError: the model does not run on it.
    """
    import keras

    chunks = tuple(size * (artifact_state.chunk(signature) or 1) for size in CHUNKS)
    specs = [_of_length(spec, sum(chunks), artifact_state) for spec in signature.inputs]
    sizes = Sizes(signature.batch or 3, signature.length, signature.stretch)
    arrays = known.sampler.sample(specs, sizes, len(CHUNKS), numbered=False)
    for spec, array in zip(specs, arrays, strict=True):
        if spec.name in artifact_state.sequence_inputs and spec.dtype != "string":
            # What a mask takes for padding, where chunks begin: a masked step repeats what came before it.
            array[0, [0, *itertools.accumulate(chunks[:-1])]] = 0
    try:
        outputs = signature.call(known.model, [keras.ops.convert_to_tensor(array) for array in arrays])
    except Exception as error:  # a model's call may raise anything
        raise ExportError(
            f"model {known.model.name!r} does not run on {sum(chunks)} steps: {plain(error)}"
        ) from error
    inputs = dict(zip(signature.input_names, arrays, strict=True))
    state = {name: inputs.pop(name) for name in artifact_state.input_names}
    results = map(backends.current().to_numpy, outputs)
    return ReferenceSequence(inputs, state, chunks, dict(zip(signature.output_names, results, strict=True)))


def _of_length(spec: TensorSpec, length: int, artifact_state: ArtifactState) -> TensorSpec:
    if spec.name not in artifact_state.sequence_inputs or spec.shape is None:
        return spec
    return replace(spec, shape=(spec.shape[0], length, *spec.shape[2:]), axes=())

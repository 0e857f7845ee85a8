"""Steps of an artifact whose memory is an input and an output: numpy alone, in any runtime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol

import numpy as np

from unikeras._keras.samples import Array
from unikeras._specs.signature import Signature, TensorSpec, numpy_dtype
from unikeras._specs.states import State, flat, nested
from unikeras._specs.structure import put_together
from unikeras.errors import ArgumentValueError, SignatureError, StateError
from unikeras.export.readers._fitting import fit
from unikeras.export.reference.artifact_state import ArtifactState, ReferenceSequence


class SteppedArtifact(Protocol):
    """An artifact, as far as its steps use it."""

    format: ClassVar[str]
    signature: Signature
    artifact_state: ArtifactState | None

    def compute(self, inputs: list[Array]) -> Any:
        """Return the outputs for one array per input, in the signature's order."""


def artifact_state_of(artifact: SteppedArtifact) -> ArtifactState:
    """Return what an artifact's metadata says of its memory.

    Raises:
        StateError: it has none.
    """
    if artifact.artifact_state is None:
        raise StateError(
            f"this {artifact.format} artifact has no memory: it was not exported from a step; "
            "uk.export_model(uk.stateful(model), path) writes one that takes its state and returns it"
        )
    return artifact.artifact_state


def initial_state(artifact_state: ArtifactState, batch_size: int) -> State:
    """Return the memory of sequences that have not begun.

    Raises:
        ArgumentValueError: the batch size is not a number of 1 or more.
    """
    if not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ArgumentValueError(f"a batch size is a number of 1 or more; received {batch_size!r}")
    arrays = [np.zeros((batch_size, *spec.shape), numpy_dtype(spec.dtype)) for spec in artifact_state.states]
    for spec, array in zip(artifact_state.states, arrays, strict=True):
        array[:] = artifact_state.initial.get(spec.input_name, 0)
    return nested(artifact_state.states, arrays)


def step(artifact: SteppedArtifact, x: Any, state: Any) -> tuple[Any, State]:
    """Run an artifact over some steps, from a memory on; see `Artifact.step`."""
    artifact_state = artifact_state_of(artifact)
    outputs, after = _outputs_and_state(artifact, artifact_state, x, state)
    return put_together(artifact_state.results, outputs), after


def _outputs_and_state(
    artifact: SteppedArtifact, artifact_state: ArtifactState, x: Any, state: Any
) -> tuple[list[Array], State]:
    """Return the flat outputs of `step`, and the memory after it."""
    values = _own_values(artifact, artifact_state, x) | _states(artifact, artifact_state, state)
    check_batch(values)
    outputs = []
    for chunk in _chunks(artifact, artifact_state, values):
        results = dict(zip(artifact.signature.output_names, _run(artifact, values | chunk), strict=True))
        values |= {spec.input_name: results.pop(spec.output_name) for spec in artifact_state.states}
        outputs.append(list(results.values()))
    after = nested(artifact_state.states, [values[name] for name in artifact_state.input_names])
    return _joined(outputs, artifact_state), after


def in_chunks(artifact: SteppedArtifact, sequence: ReferenceSequence) -> dict[str, Array]:
    """Return what `step` makes of a sequence in pieces, by the names of the outputs, the states' among them."""
    artifact_state = artifact_state_of(artifact)
    state = nested(artifact_state.states, [sequence.state[name] for name in artifact_state.input_names])
    parts, start = [], 0
    for length in sequence.chunks:
        piece = {
            name: array[:, start : start + length] if name in artifact_state.sequence_inputs else array
            for name, array in sequence.x.items()
        }
        outputs, state = _outputs_and_state(artifact, artifact_state, piece, state)
        parts.append(outputs)
        start += length
    own = [name for name in artifact.signature.output_names if name not in artifact_state.output_names]
    joined = dict(zip(own, _joined(parts, artifact_state), strict=True))
    return joined | dict(zip(artifact_state.output_names, flat(artifact_state.states, state), strict=True))


def _joined(runs: Sequence[Sequence[Array]], artifact_state: ArtifactState) -> list[Array]:
    """Return the outputs of runs that follow each other as those of one."""
    columns = zip(zip(*runs, strict=True), artifact_state.sequence_outputs, strict=True)
    return [np.concatenate(parts, axis=1) if over_time else parts[-1] for parts, over_time in columns]


def own_inputs(artifact: SteppedArtifact, artifact_state: ArtifactState) -> list[TensorSpec]:
    """Return the inputs that are no states."""
    return [spec for spec in artifact.signature.inputs if spec.name not in artifact_state.input_names]


def flatten_inputs(artifact: SteppedArtifact, artifact_state: ArtifactState, x: Any) -> list[Any]:
    """Return what a caller passes to `step` as a list in the order of the inputs.

    Raises:
        SignatureError: names or number do not fit.
    """
    specs = own_inputs(artifact, artifact_state)
    structure = [{spec.name: number for number, spec in enumerate(specs)}]
    return replace(artifact.signature, inputs=tuple(specs), arguments=structure).flatten(x)


def _own_values(artifact: SteppedArtifact, artifact_state: ArtifactState, x: Any) -> dict[str, Array]:
    """Return the inputs that are no states by name; with any number of steps."""
    specs = own_inputs(artifact, artifact_state)
    free = [_with_free_time(spec) if spec.name in artifact_state.sequence_inputs else spec for spec in specs]
    values = flatten_inputs(artifact, artifact_state, x)
    return {spec.name: fit(spec, value) for spec, value in zip(free, values, strict=True)}


def _with_free_time(spec: TensorSpec) -> TensorSpec:
    shape = spec.shape or ()
    return TensorSpec(spec.name, (*shape[:1], None, *shape[2:]), spec.dtype)


def _states(artifact: SteppedArtifact, artifact_state: ArtifactState, state: Any) -> dict[str, Array]:
    specs = {spec.name: spec for spec in artifact.signature.inputs}
    held = zip(artifact_state.input_names, flat(artifact_state.states, state), strict=True)
    return {name: fit(specs[name], value) for name, value in held}


def check_batch(values: dict[str, Array]) -> None:
    """Refuse inputs and states of different batch sizes: not every runtime compares them.

    Raises:
        SignatureError: they differ.
    """
    sizes = {name: len(array) for name, array in values.items()}
    if len(set(sizes.values())) > 1:
        came = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        raise SignatureError(
            f"inputs and state have to be of one batch size, that of initial_state(batch_size); {came}"
        )


def _chunks(
    artifact: SteppedArtifact, artifact_state: ArtifactState, values: dict[str, Array]
) -> Iterator[dict[str, Array]]:
    """Yield the inputs over time, as many steps at once as a run of the artifact takes."""
    inputs = {name: values[name] for name in artifact_state.sequence_inputs}
    lengths = {array.shape[1] for array in inputs.values()}
    length = max(lengths, default=1)
    size = artifact_state.chunk(artifact.signature) or length
    if len(lengths) > 1 or length < 1 or length % size:
        raise SignatureError(
            f"{', '.join(inputs)} received {sorted(lengths)} steps; this artifact takes "
            f"{f'a multiple of {size}' if size > 1 and len(lengths) == 1 else 'one or more, as many in each'}"
        )
    for start in range(0, length, size):
        yield {name: array[:, start : start + size] for name, array in inputs.items()}


def _run(artifact: SteppedArtifact, values: dict[str, Array]) -> list[Array]:
    return list(artifact.compute([values[name] for name in artifact.signature.input_names]))

"""Models whose memory is an input and an output: what an export has to know of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from unikeras import backends
from unikeras.errors import ArgumentError, ExportError
from unikeras.export._discover import declared_results, inputs_of, output_names
from unikeras.export._memory import Memory, Stretch
from unikeras.export._samples import Sizes, ranges, sample, words_of
from unikeras.export._signature import Signature, TensorSpec
from unikeras.export._structure import take_apart
from unikeras.export._text import plain

# How an artifact takes a sequence that the model takes at once; each times the steps that it takes in a run.
CHUNKS = (1, 4, 7)

ONE_STEP = (
    "takes one step at a time, so that its batch is free; load_artifact(...).step takes any number of steps"
)


@runtime_checkable
class StepLike(Protocol):
    """What `uk.stateful` returns, as far as an export needs it.

    Attributes:
        name: what artifacts are called.
        model: a functional `keras.Model` from and to a dict of tensors, the states among them.
        states: a `StateSpec` for each state.
        fingerprint: tells models apart whose memories must not be mixed.
        sequence_outputs: for each output that is no state, whether its second axis is time.
    """

    name: str
    model: Any
    states: Any
    fingerprint: str
    sequence_outputs: Any


def memory_of(step: StepLike) -> Memory:
    """Return what an artifact of a step has to know of its memory.

    Raises:
        ArgumentError: the step's model lacks a state as an input or as an output.
    """
    names = [spec.name for spec in inputs_of(step.model)[1]]
    results = declared_results(step.model)
    outputs = output_names(step.model, results, len(take_apart(results)[1]))
    states = tuple(step.states)
    lost = [spec.input_name for spec in states if spec.input_name not in names]
    lost += [spec.output_name for spec in states if spec.output_name not in outputs]
    if lost:
        raise ArgumentError(
            f"step {step.name!r} carries {', '.join(lost)}, which its model neither takes nor returns; "
            "uk.stateful(model) makes a step that does"
        )
    own = [name for name in outputs if name not in {spec.output_name for spec in states}]
    over_time = [
        spec.name
        for spec in inputs_of(step.model)[1]
        if len(spec.shape or ()) > 1 and spec.shape[1] is None  # type: ignore[index]
    ]
    structure = 0 if len(own) == 1 else {name: number for number, name in enumerate(own)}
    return Memory(states, step.fingerprint, tuple(over_time), tuple(step.sequence_outputs), structure)


def one_step(signature: Signature, memory: Memory) -> dict[str, Any]:
    """Return what to ask for, as `signature=`, so that a free time becomes one step."""
    import keras

    return {
        spec.name: keras.InputSpec(shape=(spec.shape[0], 1, *spec.shape[2:]), dtype=spec.dtype)
        for spec in signature.inputs
        if spec.name in memory.sequence_inputs and spec.shape and spec.shape[1] is None
    }


def stretch(model: Any, signature: Signature, memory: Memory) -> Stretch:
    """Return a seeded sequence with what a step's model makes of it at once.

    Raises:
        ExportError: the model does not run on it.
    """
    import keras

    chunks = tuple(size * (memory.chunk(signature) or 1) for size in CHUNKS)
    specs = [_of_length(spec, sum(chunks), memory) for spec in signature.inputs]
    sizes = Sizes(signature.batch or 3, signature.length, signature.stretch)
    high, words = ranges(model, specs), words_of(model)
    arrays = [sample(spec, top, sizes, len(CHUNKS), words) for spec, top in zip(specs, high, strict=True)]
    try:
        outputs = signature.call(model, [keras.ops.convert_to_tensor(array) for array in arrays])
    except Exception as error:  # a model's call may raise anything
        raise ExportError(
            f"model {model.name!r} does not run on {sum(chunks)} steps: {plain(error)}"
        ) from error
    inputs = dict(zip(signature.input_names, arrays, strict=True))
    state = {name: inputs.pop(name) for name in memory.input_names}
    results = map(backends.current().to_numpy, outputs)
    return Stretch(inputs, state, chunks, dict(zip(signature.output_names, results, strict=True)))


def _of_length(spec: TensorSpec, length: int, memory: Memory) -> TensorSpec:
    if spec.name not in memory.sequence_inputs or spec.shape is None:
        return spec
    return replace(spec, shape=(spec.shape[0], length, *spec.shape[2:]), axes=())

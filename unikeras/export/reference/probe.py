"""Run the model itself on seeded inputs: what an artifact has to reproduce, and the signature's outputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unikeras._base.text import plain
from unikeras._keras.discovery import Declaration, declaration_of, override_specs
from unikeras._keras.samples import Array, Sampler, Sizes
from unikeras._specs.signature import Signature, TensorSpec, numpy_dtype
from unikeras._specs.structure import leaves_as, put_together, take_apart
from unikeras.errors import ExportError
from unikeras.export.reference.axes import name_inputs, name_output
from unikeras.export.reference.input_dtypes import observe_dtypes
from unikeras.export.reference.predictions import as_predicted

BATCHES = (1, 3, 8)

# Lengths to try for dynamic axes other than the batch, one for each of the batch sizes: three that the
# model takes are what an artifact has to take, one step too where a model takes that. A deep convolution
# needs more than 8, a table of positions may hold less.
LENGTHS = ((1, 8, 13), (8, 16, 24), (32, 64, 96), (128, 192, 256), (1, 2, 4), (1, 1, 1))

# Raw audio needs more: the length is doubled, up to so many steps and so many numbers in one input.
LONGEST, LARGEST = 2**16, 2**24

# How much longer each input is than the one before it, where a model takes lengths of their own.
APART = 3


@dataclass(frozen=True)
class SampleBatch:
    """One run of the model.

    Attributes:
        batch: the batch size.
        inputs: flat, in the signature's order.
        outputs: what the model predicted, flat.
    """

    batch: int
    inputs: list[Array]
    outputs: list[Array]


@dataclass(frozen=True)
class KnownModel:
    """What is known of a model before it runs: all later steps read it here.

    Attributes:
        model: the model.
        declaration: with the dtypes that it can be seen to take.
        unsure: the names of inputs whose dtypes had to be guessed.
        sampler: which values it takes.
        runs_eagerly: whether `predict` runs it as it is written.
    """

    model: Any
    declaration: Declaration
    unsure: tuple[str, ...]
    sampler: Sampler
    runs_eagerly: bool


def know(model: Any) -> KnownModel:
    """Return what is known of a built `keras.Model`.

    Raises:
        ExportError: a subclassed model was built without Keras recording its input shapes.
    """
    declaration = declaration_of(model)
    unsure: list[str] = []
    if declaration.results is None and getattr(model, "declared_inputs", None) is None:
        inputs, unsure = observe_dtypes(model, declaration.arguments, declaration.inputs)
        declaration = replace(declaration, inputs=inputs)
    runs_eagerly = bool(getattr(model, "run_eagerly", False))
    return KnownModel(model, declaration, tuple(unsure), Sampler.of(model, declaration.tensors), runs_eagerly)


def probe(
    known: KnownModel, wanted: Mapping[str, Any] | None = None, shortest: int = 1
) -> tuple[Signature, list[SampleBatch]]:
    """Return a model's signature and what it predicts, at several batch sizes.

    Args:
        known: the model, from `know`.
        wanted: `keras.InputSpec` by input name, to replace shapes and dtypes.
        shortest: the least that a dynamic axis other than the batch is.

    Raises:
        ExportError: the model does not run on inputs of its own signature.
        SignatureError: `wanted` does not fit the model.
    """
    declared = known.declaration
    specs = name_inputs(override_specs(declared.inputs, wanted), declared.channels_first)
    sizes, results, batches = _first_that_runs(known, specs, shortest)
    names = declared.name_outputs(results, len(batches[0].outputs))
    outputs = [_output_spec(name, number, specs, batches) for number, name in enumerate(names)]
    usual = sizes[len(sizes) // 2]  # tracers take a length of 1 for a constant
    like = usual.length, usual.size_factor, usual.apart
    return Signature(tuple(specs), tuple(outputs), declared.arguments, results, *like), batches


def batches_of(known: KnownModel, signature: Signature, samples: Any) -> list[SampleBatch]:
    """Return what a model computes on a user's own inputs: one of them, three, and all.

    Args:
        known: the model, from `know`.
        signature: the model's.
        samples: inputs as for `predict`.

    Raises:
        SignatureError: they do not fit the signature.
    """
    values = [np.asarray(value) for value in signature.flatten(samples)]
    arrays = [
        value.astype(numpy_dtype(spec.dtype)) for value, spec in zip(values, signature.inputs, strict=True)
    ]
    batches = []
    for size in sorted({min(count, len(arrays[0])) for count in (1, 3, len(arrays[0]))}):
        inputs = [array[:size] for array in arrays]
        outputs = as_predicted(
            lambda tensors: signature.call(known.model, tensors), signature.inputs, inputs, known.runs_eagerly
        )
        batches.append(SampleBatch(size, inputs, outputs))
    return batches


def _first_that_runs(
    known: KnownModel, specs: Sequence[TensorSpec], shortest: int
) -> tuple[list[Sizes], Any, list[SampleBatch]]:
    failures = []
    for sizes in _candidates(specs, shortest):
        try:
            structures, batches = zip(*_runs(known, specs, sizes), strict=True)
            return sizes, structures[0], list(batches)
        except ExportError:
            raise
        except Exception as error:  # a model's call may raise anything
            failures.append(error)
    tried = max((one.length for one in sizes), default=1)
    hint = (
        f" (dynamic axes of up to {tried} were tried; signature= fixes one)"
        if any(axis for spec in specs for axis in spec.dynamic)
        else ""
    )
    raise ExportError(
        f"model {known.model.name!r} does not run on inputs of its signature{hint}: {plain(failures[-1])}"
    ) from failures[-1]


def _candidates(specs: Sequence[TensorSpec], shortest: int = 1) -> Iterator[list[Sizes]]:
    """Yield sizes for all runs, the most telling ones first."""
    free = [len([axis for axis in spec.dynamic if axis]) for spec in specs]
    fixed = Signature(tuple(specs), (), [], []).batch
    several = len([count for count in free if count]) > 1
    ways = [
        (factor, apart)
        for factor in ((2, 1) if max(free, default=0) > 1 else (1,))
        for apart in ((APART, 0) if several else (0,))
    ]
    usual = [lengths for lengths in LENGTHS if min(lengths) >= shortest]
    tries = [(way, lengths) for way in ways for lengths in (usual if any(free) else LENGTHS[:1])]
    # Where one is 1 it may be repeated to the length of the other, which says nothing.
    tries = [(way, lengths) for way, lengths in tries if not way[1] or max(lengths) > 1]
    if any(free):
        longer = (lengths for lengths in _doubled(specs) if min(lengths) >= shortest)
        tries += [(ways[-1], lengths) for lengths in longer]
    for way, lengths in tries:
        # With a fixed batch the lengths alone tell the runs apart.
        batches = BATCHES if fixed is None else [fixed] * (len(lengths) if any(free) else 1)
        yield [Sizes(*pair, *way) for pair in zip(batches, lengths, strict=False)]


def _doubled(specs: Sequence[TensorSpec]) -> Iterator[tuple[int, int, int]]:
    """Yield lengths for raw data, as long as the inputs stay small enough to be made up."""
    length = 2 * max(map(max, LENGTHS))
    while length <= LONGEST:
        lengths = (length, length + length // 2, 2 * length)
        sizes = Sizes(BATCHES[-1], lengths[-1])
        if max(math.prod(sizes.of(spec)) for spec in specs) > LARGEST:
            return
        yield lengths
        length *= 2


def _runs(
    known: KnownModel, specs: Sequence[TensorSpec], sizes: Sequence[Sizes]
) -> Iterator[tuple[Any, SampleBatch]]:
    structure = [known.declaration.results]
    call = _flat_call(known.model, known.declaration.arguments, structure)
    for number, one in enumerate(sizes):
        inputs = known.sampler.sample(specs, one, number)
        outputs = as_predicted(call, specs, inputs, known.runs_eagerly)
        results = structure[0]
        if not all(output.size for output in outputs):
            raise ValueError(f"an output is empty where a dynamic axis is {one.length}")
        if any(axis for spec in specs for axis in spec.dynamic) and any(map(_is_nan, outputs)):
            # Such as the mean over no steps, where TensorFlow convolves what is shorter than the kernel.
            raise ValueError(f"an output is NaN alone where a dynamic axis is {one.length}")
        yield results, SampleBatch(one.batch, inputs, outputs)


def _is_nan(array: Array) -> bool:
    return array.dtype.kind == "f" and bool(np.isnan(array).all())


def _flat_call(
    model: Any, arguments: list[Any], structure: list[Any]
) -> Callable[[Sequence[Any]], list[Any]]:
    """Return a model as a function of flat tensors, which notes the structure that it returns where none is known."""

    def call(tensors: Sequence[Any]) -> list[Any]:
        result = model(*put_together(arguments, list(tensors)), training=False)
        if structure[0] is None:
            structure[0] = take_apart(result)[0]
        return leaves_as(structure[0], result)

    return call


def _output_spec(
    name: str, number: int, specs: Sequence[TensorSpec], batches: Sequence[SampleBatch]
) -> TensorSpec:
    sizes = {
        axis_name: tuple(run.inputs[position].shape[axis] for run in batches)
        for position, spec in enumerate(specs)
        for axis, axis_name in spec.dynamic.items()
    }
    arrays = [run.outputs[number] for run in batches]
    return name_output(name, [array.shape for array in arrays], str(arrays[0].dtype), sizes)

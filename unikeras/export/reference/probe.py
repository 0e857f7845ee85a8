"""Run the model itself on seeded inputs: what an artifact has to reproduce, and the signature's outputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unikeras._base.text import plain
from unikeras._keras.discovery import (
    declared_results,
    has_channels_first,
    inputs_of,
    output_names,
    overridden,
)
from unikeras._keras.samples import Array, Sizes, ranges, sample, words_of
from unikeras._specs.signature import Signature, TensorSpec, numpy_dtype
from unikeras._specs.structure import leaves_as, put_together, take_apart
from unikeras.errors import ExportError
from unikeras.export.reference import input_dtypes as _input_dtypes
from unikeras.export.reference.axes import named_inputs, named_output
from unikeras.export.reference.predictions import as_predicted, remark_on_eager

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
class Round:
    """One run of the model.

    Attributes:
        batch: the batch size.
        inputs: flat, in the signature's order.
        outputs: what the model predicted, flat.
    """

    batch: int
    inputs: list[Array]
    outputs: list[Array]


def probe(
    model: Any, wanted: Mapping[str, Any] | None = None, shortest: int = 1
) -> tuple[Signature, list[Round]]:
    """Return a model's signature and what it predicts, at several batch sizes.

    Args:
        model: a built `keras.Model`.
        wanted: `keras.InputSpec` by input name, to replace shapes and dtypes.
        shortest: the least that a dynamic axis other than the batch is.

    Raises:
        ExportError: the model does not run on inputs of its own signature.
        SignatureError: `wanted` does not fit the model.
    """
    arguments, declared, _ = known_inputs(model)
    specs = named_inputs(overridden(declared, wanted), has_channels_first(model))
    sizes, results, rounds = _first_that_runs(model, arguments, specs, shortest)
    names = output_names(model, results, len(rounds[0].outputs))
    outputs = [_observed(name, number, specs, rounds) for number, name in enumerate(names)]
    usual = sizes[len(sizes) // 2]  # tracers take a length of 1 for a constant
    like = usual.length, usual.stretch, usual.apart
    return Signature(tuple(specs), tuple(outputs), arguments, results, *like), rounds


def known_inputs(model: Any) -> tuple[list[Any], list[TensorSpec], list[str]]:
    """Return the structure of a model's arguments, its inputs, and the names of those of unsure dtype."""
    arguments, declared = inputs_of(model)
    if declared_results(model) is not None:
        return arguments, declared, []
    return arguments, *_input_dtypes.observed(model, arguments, declared)


def remarks_on(
    model: Any, signature: Signature, rounds: list[Round], wanted: Mapping[str, Any] | None
) -> list[str]:
    """Return what a report says of the comparison with a model: what had to be guessed, and what differs.

    Args:
        model: the model.
        signature: from `probe`.
        rounds: from `probe`.
        wanted: what was asked for there.
    """
    remarks = []
    unsure = [name for name in known_inputs(model)[2] if name not in (wanted or {})]
    if unsure:
        dtypes = {spec.name: spec.dtype for spec in signature.inputs}
        guessed = ", ".join(f"{name} is taken to be {dtypes[name]}" for name in unsure)
        remarks.append(
            f"Keras records no dtypes of a subclassed model's inputs: {guessed}; "
            "signature={name: keras.InputSpec(shape=..., dtype=...)} says otherwise"
        )
    if rounds and not _runs_eagerly(model):
        first = rounds[0]
        remarks.append(
            remark_on_eager(lambda tensors: signature.call(model, tensors), first.inputs, first.outputs)
        )
    if _predicts_otherwise(model):
        remarks.append("the model's predict_step is its own; the artifact computes what call() computes")
    if rounds_images(model, signature):
        remarks.append(
            "Resizing rounds integers here: a value halfway between two may round the other way in another runtime"
        )
    if (length := shortest_of(signature, rounds)) > max(map(max, LENGTHS)):
        remarks.append(f"verified where dynamic axes are {length} or more; the model refused shorter ones")
    return [remark for remark in remarks if remark]


def shortest_of(signature: Signature, rounds: list[Round]) -> int:
    """Return the least that a dynamic axis other than the batch is in any run; 0 where there is none."""
    sizes = [
        array.shape[axis]
        for run in rounds
        for spec, array in zip(signature.inputs, run.inputs, strict=True)
        for axis in spec.dynamic
        if axis
    ]
    return min(sizes, default=0)


def rounds_images(model: Any, signature: Signature) -> bool:
    """Say whether a model resizes integers and rounds what comes out, as it is predicted with."""
    import keras

    if not any(str(spec.dtype).startswith(("int", "uint")) for spec in signature.inputs):
        return False
    resizing = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Resizing)]
    return any(map(_gives_integers, resizing))


def _gives_integers(layer: Any) -> bool:
    image = np.zeros((1, 2, 2, 1), "uint8")
    spec = TensorSpec("image", image.shape, "uint8")
    (resized,) = as_predicted(lambda tensors: [layer(tensors[0])], [spec], [image], False)
    return resized.dtype.kind in "iu"


def _runs_eagerly(model: Any) -> bool:
    return bool(getattr(model, "run_eagerly", False))


def _predicts_otherwise(model: Any) -> bool:
    module = getattr(type(model).predict_step, "__module__", "") or ""
    return not module.startswith(("keras.", "unikeras."))


def rounds_of(model: Any, signature: Signature, samples: Any) -> list[Round]:
    """Return what a model computes on a user's own inputs: one of them, three, and all.

    Args:
        model: a built `keras.Model`.
        signature: the model's.
        samples: inputs as for `predict`.

    Raises:
        SignatureError: they do not fit the signature.
    """
    values = [np.asarray(value) for value in signature.flatten(samples)]
    arrays = [
        value.astype(numpy_dtype(spec.dtype)) for value, spec in zip(values, signature.inputs, strict=True)
    ]
    rounds = []
    for size in sorted({min(count, len(arrays[0])) for count in (1, 3, len(arrays[0]))}):
        inputs = [array[:size] for array in arrays]
        outputs = as_predicted(
            lambda tensors: signature.call(model, tensors), signature.inputs, inputs, _runs_eagerly(model)
        )
        rounds.append(Round(size, inputs, outputs))
    return rounds


def _first_that_runs(
    model: Any, arguments: list[Any], specs: Sequence[TensorSpec], shortest: int
) -> tuple[list[Sizes], Any, list[Round]]:
    failures = []
    for sizes in _candidates(specs, shortest):
        try:
            structures, rounds = zip(*_runs(model, arguments, specs, sizes), strict=True)
            return sizes, structures[0], list(rounds)
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
        f"model {model.name!r} does not run on inputs of its signature{hint}: {plain(failures[-1])}"
    ) from failures[-1]


def _candidates(specs: Sequence[TensorSpec], shortest: int = 1) -> Iterator[list[Sizes]]:
    """Yield sizes for all runs, the most telling ones first."""
    free = [len([axis for axis in spec.dynamic if axis]) for spec in specs]
    fixed = Signature(tuple(specs), (), [], []).batch
    several = len([count for count in free if count]) > 1
    ways = [
        (stretch, apart)
        for stretch in ((2, 1) if max(free, default=0) > 1 else (1,))
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
    model: Any, arguments: list[Any], specs: Sequence[TensorSpec], sizes: Sequence[Sizes]
) -> Iterator[tuple[Any, Round]]:
    high, words = ranges(model, specs), words_of(model)
    structure = [declared_results(model)]
    call = _flat_call(model, arguments, structure)
    for number, one in enumerate(sizes):
        inputs = [
            sample(spec, top, one, number, words, place)
            for place, (spec, top) in enumerate(zip(specs, high, strict=True))
        ]
        outputs = as_predicted(call, specs, inputs, _runs_eagerly(model))
        results = structure[0]
        if not all(output.size for output in outputs):
            raise ValueError(f"an output is empty where a dynamic axis is {one.length}")
        if any(axis for spec in specs for axis in spec.dynamic) and any(map(_is_nan, outputs)):
            # Such as the mean over no steps, where TensorFlow convolves what is shorter than the kernel.
            raise ValueError(f"an output is NaN alone where a dynamic axis is {one.length}")
        yield results, Round(one.batch, inputs, outputs)


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


def _observed(name: str, number: int, specs: Sequence[TensorSpec], rounds: Sequence[Round]) -> TensorSpec:
    sizes = {
        axis_name: tuple(run.inputs[position].shape[axis] for run in rounds)
        for position, spec in enumerate(specs)
        for axis, axis_name in spec.dynamic.items()
    }
    arrays = [run.outputs[number] for run in rounds]
    return named_output(name, [array.shape for array in arrays], str(arrays[0].dtype), sizes)

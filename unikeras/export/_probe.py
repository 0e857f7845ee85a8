"""Run the model itself on seeded inputs: what an artifact has to reproduce, and the signature's outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unikeras import backends
from unikeras.errors import ExportError
from unikeras.export._axes import named_inputs, named_output
from unikeras.export._discover import (
    declared_results,
    has_channels_first,
    inputs_of,
    output_names,
    overridden,
)
from unikeras.export._samples import Array, Sizes, ranges, sample, words_of
from unikeras.export._signature import Signature, TensorSpec, numpy_dtype
from unikeras.export._structure import leaves_as, put_together, take_apart
from unikeras.export._text import plain

BATCHES = (1, 3, 8)

# Lengths to try for dynamic axes other than the batch, one for each of the batch sizes: three that the
# model takes are what an artifact has to take, one step too where a model takes that. A deep convolution
# needs more than 8, a table of positions may hold less.
LENGTHS = ((1, 8, 13), (8, 16, 24), (32, 64, 96), (128, 192, 256), (1, 2, 4), (1, 1, 1))


@dataclass(frozen=True)
class Round:
    """One run of the model.

    Attributes:
        batch: the batch size.
        inputs: flat, in the signature's order.
        outputs: what the model returned, flat.
    """

    batch: int
    inputs: list[Array]
    outputs: list[Array]


def probe(model: Any, wanted: Mapping[str, Any] | None = None) -> tuple[Signature, list[Round]]:
    """Return a model's signature and what it computes in inference mode, at several batch sizes.

    Args:
        model: a built `keras.Model`.
        wanted: `keras.InputSpec` by input name, to replace shapes and dtypes.

    Raises:
        ExportError: the model does not run on inputs of its own signature.
        SignatureError: `wanted` does not fit the model.
    """
    arguments, declared = inputs_of(model)
    specs = named_inputs(overridden(declared, wanted), has_channels_first(model))
    sizes, results, rounds = _first_that_runs(model, arguments, specs)
    names = output_names(model, results, len(rounds[0].outputs))
    outputs = [_observed(name, number, specs, rounds) for number, name in enumerate(names)]
    usual = sizes[len(sizes) // 2]  # tracers take a length of 1 for a constant
    return Signature(tuple(specs), tuple(outputs), arguments, results, usual.length, usual.stretch), rounds


def rounds_of(model: Any, signature: Signature, samples: Any) -> list[Round]:
    """Return what a model computes on a user's own inputs: one of them, three, and all.

    Args:
        model: a built `keras.Model`.
        signature: the model's.
        samples: inputs as for `predict`.

    Raises:
        SignatureError: they do not fit the signature.
    """
    import keras

    values = [np.asarray(value) for value in signature.flatten(samples)]
    arrays = [
        value.astype(numpy_dtype(spec.dtype)) for value, spec in zip(values, signature.inputs, strict=True)
    ]
    rounds = []
    for size in sorted({min(count, len(arrays[0])) for count in (1, 3, len(arrays[0]))}):
        inputs = [array[:size] for array in arrays]
        tensors = [keras.ops.convert_to_tensor(array) for array in inputs]
        outputs = map(backends.current().to_numpy, signature.call(model, tensors))
        rounds.append(Round(size, inputs, list(outputs)))
    return rounds


def _first_that_runs(
    model: Any, arguments: list[Any], specs: Sequence[TensorSpec]
) -> tuple[list[Sizes], Any, list[Round]]:
    failures = []
    for sizes in _candidates(specs):
        try:
            structures, rounds = zip(*_runs(model, arguments, specs, sizes), strict=True)
            return sizes, structures[0], list(rounds)
        except ExportError:
            raise
        except Exception as error:  # a model's call may raise anything
            failures.append(error)
    text = plain(failures[0])
    raise ExportError(f"model {model.name!r} does not run on inputs of its signature: {text}") from failures[
        0
    ]


def _candidates(specs: Sequence[TensorSpec]) -> Iterator[list[Sizes]]:
    """Yield sizes for all runs, the most telling ones first."""
    free = max((len([axis for axis in spec.dynamic if axis]) for spec in specs), default=0)
    fixed = Signature(tuple(specs), (), [], []).batch
    for stretch in (2, 1) if free > 1 else (1,):
        for lengths in LENGTHS if free else LENGTHS[:1]:
            # With a fixed batch the lengths alone tell the runs apart.
            batches = BATCHES if fixed is None else [fixed] * (len(lengths) if free else 1)
            yield [Sizes(*pair, stretch) for pair in zip(batches, lengths, strict=False)]


def _runs(
    model: Any, arguments: list[Any], specs: Sequence[TensorSpec], sizes: Sequence[Sizes]
) -> Iterator[tuple[Any, Round]]:
    import keras

    high, words = ranges(model, specs), words_of(model)
    declared = declared_results(model)
    to_numpy = backends.current().to_numpy
    for number, one in enumerate(sizes):
        inputs = [sample(spec, top, one, number, words) for spec, top in zip(specs, high, strict=True)]
        tensors = [keras.ops.convert_to_tensor(array) for array in inputs]
        result = model(*put_together(arguments, tensors), training=False)
        results = take_apart(result)[0] if declared is None else declared
        outputs = list(map(to_numpy, leaves_as(results, result)))
        if not all(output.size for output in outputs):
            raise ValueError(f"an output is empty where a dynamic axis is {one.length}")
        yield results, Round(one.batch, inputs, outputs)


def _observed(name: str, number: int, specs: Sequence[TensorSpec], rounds: Sequence[Round]) -> TensorSpec:
    sizes = {
        axis_name: tuple(run.inputs[position].shape[axis] for run in rounds)
        for position, spec in enumerate(specs)
        for axis, axis_name in spec.dynamic.items()
    }
    arrays = [run.outputs[number] for run in rounds]
    return named_output(name, [array.shape for array in arrays], str(arrays[0].dtype), sizes)

"""Run the model itself on seeded inputs: what an artifact has to reproduce, and the signature's outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unikeras import backends
from unikeras.errors import ExportError
from unikeras.export._discover import declared_results, inputs_of, output_names, overridden
from unikeras.export._samples import Array, ranges, sample
from unikeras.export._signature import Signature, TensorSpec
from unikeras.export._structure import leaves_as, put_together, take_apart
from unikeras.export._text import plain

BATCHES = (1, 3, 64)

# Sizes to try for dynamic axes other than the batch. All of them have the same size, and every second
# round doubles it. A deep convolution needs more than 8, a table of positions may hold less.
LENGTHS = (8, 32, 128, 2, 1)


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
    specs = overridden(declared, wanted)
    length, results, rounds = _first_that_runs(model, arguments, specs)
    names = output_names(model, results, len(rounds[0].outputs))
    outputs = [_observed(name, [run.outputs[number] for run in rounds]) for number, name in enumerate(names)]
    return Signature(tuple(specs), tuple(outputs), arguments, results, length), rounds


def _first_that_runs(
    model: Any, arguments: list[Any], specs: Sequence[TensorSpec]
) -> tuple[int, Any, list[Round]]:
    is_dynamic = any(size is None for spec in specs for size in (spec.shape or ())[1:])
    failures = []
    for length in LENGTHS if is_dynamic else LENGTHS[:1]:
        try:
            structures, rounds = zip(*_runs(model, arguments, specs, length), strict=True)
            return length, structures[0], list(rounds)
        except ExportError:
            raise
        except Exception as error:  # a model's call may raise anything
            failures.append(error)
    text = plain(failures[0])
    raise ExportError(f"model {model.name!r} does not run on inputs of its signature: {text}") from failures[
        0
    ]


def _runs(
    model: Any, arguments: list[Any], specs: Sequence[TensorSpec], length: int
) -> Iterator[tuple[Any, Round]]:
    import keras

    fixed = Signature(tuple(specs), (), arguments, []).batch
    high = ranges(model, specs)
    declared = declared_results(model)
    to_numpy = backends.current().to_numpy
    for number, batch in enumerate(BATCHES if fixed is None else (fixed,)):
        size = length * (1 + number % 2)
        inputs = [sample(spec, top, batch, size, number) for spec, top in zip(specs, high, strict=True)]
        tensors = [keras.ops.convert_to_tensor(array) for array in inputs]
        result = model(*put_together(arguments, tensors), training=False)
        results = take_apart(result)[0] if declared is None else declared
        yield results, Round(batch, inputs, list(map(to_numpy, leaves_as(results, result))))


def _observed(name: str, arrays: Sequence[Array]) -> TensorSpec:
    shapes = zip(*(array.shape for array in arrays), strict=True)
    shape = tuple(sizes[0] if len(set(sizes)) == 1 else None for sizes in shapes)
    return TensorSpec(name, shape, str(arrays[0].dtype))

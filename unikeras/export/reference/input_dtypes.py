"""The dtypes of a subclassed model's inputs, of which Keras records the shapes alone."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from unikeras import backends
from unikeras._keras.samples import Array, Sizes
from unikeras._specs.signature import TensorSpec, numpy_dtype
from unikeras._specs.structure import put_together

# Of more inputs than this not every combination of dtypes is tried.
MOST_INPUTS = 4


def observe_dtypes(
    model: Any, arguments: list[Any], specs: Sequence[TensorSpec]
) -> tuple[list[TensorSpec], list[str]]:
    """Return the inputs with the dtypes that the model can be seen to take, and the names of the others.

    An input whose numbers arrive in an embedding as they are holds int32; so does one that the model takes
    as int32 and not as its own dtype. What is left keeps its dtype, and may be wrong.
    """
    runs = (
        [replace(spec, dtype=dtype) for spec, dtype in zip(specs, dtypes, strict=True)]
        for dtypes in itertools.product(*([str(spec.dtype), "int32"] for spec in specs[:MOST_INPUTS]))
        if len(specs) <= MOST_INPUTS
    )
    for candidate in runs:
        with contextlib.suppress(Exception):  # a model's call may raise anything
            indices = _indices(model, arguments, candidate)
            known = [spec.dtype == "int32" or number in indices for number, spec in enumerate(candidate)]
            unknown = [spec.name for spec, sure in zip(candidate, known, strict=True) if not sure]
            return [
                replace(spec, dtype="int32") if sure else spec
                for spec, sure in zip(candidate, known, strict=True)
            ], unknown
    return list(specs), [spec.name for spec in specs]


def _indices(model: Any, arguments: list[Any], specs: Sequence[TensorSpec]) -> set[int]:
    """Return the numbers of the inputs that an embedding receives as they are."""
    zeros = _received(model, arguments, specs, None)
    found = set()
    for number in range(len(specs)):
        ones = _received(model, arguments, specs, number)
        pairs = zip(zeros, ones, strict=True)
        if any(not low.any() and (high == 1).all() for low, high in pairs):
            found.add(number)
    return found


def _received(model: Any, arguments: list[Any], specs: Sequence[TensorSpec], one: int | None) -> list[Array]:
    """Return what the embeddings of a model receive where all inputs are 0, except one that is 1."""
    import keras

    arrays = [
        np.full(Sizes(2, 8).of(spec), number == one, numpy_dtype(spec.dtype))
        for number, spec in enumerate(specs)
    ]
    seen: list[Array] = []
    with _watched(model, seen), backends.current().no_grad():
        model(*put_together(arguments, list(map(keras.ops.convert_to_tensor, arrays))), training=False)
    return seen


@contextlib.contextmanager
def _watched(model: Any, seen: list[Array]) -> Iterator[None]:
    import keras

    embeddings = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Embedding)]
    try:
        for layer in embeddings:
            # Past Keras' own __setattr__, which would track it.
            object.__setattr__(layer, "call", _noting(layer.call, seen))
        yield
    finally:
        for layer in embeddings:
            vars(layer).pop("call", None)


def _noting(call: Any, seen: list[Array]) -> Any:
    import keras

    def noting(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(np.asarray(keras.ops.convert_to_numpy(inputs)))
        return call(inputs, *args, **kwargs)

    return noting

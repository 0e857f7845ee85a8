"""What a caller passes to a step, as the inputs of its model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from keras import tree

from unikeras._specs.states import NUMBERS, dtype_name, shape_of
from unikeras.errors import SignatureError
from unikeras.streaming._streaming_graph import Streaming

_TEXT = re.compile("str|object|bytes|void")


def flatten_inputs(graph: Streaming, timed: Sequence[bool], x: Any) -> list[Any]:
    """Return what a caller passes as the model's inputs, in order.

    Args:
        graph: the model with state.
        timed: for each input, whether its second axis is time.
        x: what the caller passes.

    Raises:
        SignatureError: the number of inputs, a shape or a kind of values does not fit. All problems are named.
    """
    names = graph.x_names
    values = [x] if len(names) == 1 and not isinstance(x, Mapping | list | tuple) else x
    if isinstance(x, Mapping) and set(x) == set(names):
        values = [x[name] for name in names]
    if not isinstance(values, list | tuple) or len(values) != len(names):
        raise SignatureError(
            f"expected the inputs {', '.join(names)} as tensors or arrays; received {type(x).__name__} {x!r:.100}"
        )
    specs = tree.flatten(graph.inputs)
    problems = [
        problem
        for name, spec, has_time, value in zip(names, specs, timed, values, strict=True)
        if (problem := _problem(name, spec, has_time, value))
    ]
    if problems:
        raise SignatureError("; ".join(problems))
    return list(values)


def batch_size_of(values: Sequence[Any]) -> int | None:
    """Return the batch size of inputs; None where a trace leaves it open.

    Raises:
        SignatureError: they have several; an input of batch size 1 is broadcast.
    """
    sizes = {shape[0] for value in values if (shape := shape_of(value)) and shape[0] is not None}
    several = sizes - {1} or sizes
    if len(several) > 1:
        raise SignatureError(f"the inputs of one call have one batch size; received {sorted(several)}")
    return next(iter(several), None)


def _problem(name: str, spec: Any, has_time: bool, value: Any) -> str | None:
    wanted = ("batch", "time" if has_time else spec.shape[1], *spec.shape[2:])[: len(spec.shape)]
    due = f"a tensor or an array of shape ({', '.join(map(str, wanted))})"
    shape, dtype = shape_of(value), getattr(value, "dtype", None)
    if dtype is None or (shape is None and isinstance(value, Sequence)):
        return f"input {name} has to be {due}; received {type(value).__name__} {value!r:.100}"
    kind = dtype_name(dtype)
    is_text = bool(_TEXT.match(kind))
    if is_text != (spec.dtype == "string") or not (is_text or NUMBERS.match(kind) or "complex" in spec.dtype):
        return f"input {name} has to be {due}, of {spec.dtype}; received dtype {kind}"
    if shape is None:
        return None  # a trace knows no shape of it
    if not _fits(shape, spec.shape):
        return f"input {name} has to be {due}; received shape {shape}"
    if shape[0] == 0 or (has_time and shape[1] == 0):
        return f"a chunk has at least one sequence and at least one step; input {name} received shape {shape}"
    return None


def _fits(shape: tuple[int | None, ...], wanted: tuple[int | None, ...]) -> bool:
    """Say whether a model takes an input of this shape; Keras adds and drops a last axis of size 1."""
    if len(shape) == len(wanted) + 1 and shape[-1] == 1:
        shape = shape[:-1]
    elif len(shape) == len(wanted) - 1 and wanted[-1] == 1:
        shape = (*shape, 1)
    return len(shape) == len(wanted) and all(
        have is None or want is None or have == want for have, want in zip(shape, wanted, strict=True)
    )

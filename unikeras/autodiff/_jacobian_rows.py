"""Jacobians from a tape: one backward pass for many output gradients at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from unikeras._keras.variables import dtype_of, is_differentiable
from unikeras.backends import Tape
from unikeras.errors import ArgumentError, ArgumentValueError


def check_floating(target: Any) -> None:
    """Raise where a target has no derivative."""
    if not is_differentiable(target):
        raise ArgumentError(
            f"target is of dtype {dtype_of(target)}; jacobians exist for floating and complex dtypes only"
        )


def check_batch(target: Any, source: Any) -> None:
    """Raise where target and source do not share a batch axis."""
    if not target.shape or not source.shape or target.shape[0] != source.shape[0]:
        raise ArgumentValueError(
            f"target has shape {tuple(target.shape)}, source {tuple(source.shape)}; "
            "batch_jacobian wants a first axis of the same length in both"
        )


def rows(backend_tape: Tape, target: Any, sources: Sequence[Any]) -> list[Any]:
    """Return d target / d source of shape target.shape + source.shape for each source, or None."""
    from keras import ops

    shape = tuple(target.shape)
    if not shape:
        return backend_tape.gradient([target], sources, [None])
    if not math.prod(shape):
        found = backend_tape.gradient([target], sources, [None])
        return [
            None if one is None else zeros(target, source) for one, source in zip(found, sources, strict=True)
        ]
    found = backend_tape.batched_gradient(target, sources, basis(target))
    return [None if one is None else ops.reshape(one, shape + tuple(one.shape[1:])) for one in found]


def basis(tensor: Any) -> Any:
    """Return the unit tensors of a tensor's shape and dtype, stacked along a first axis."""
    from keras import ops

    shape, size = tuple(tensor.shape), math.prod(tensor.shape)
    return ops.reshape(ops.eye(size, dtype=tensor.dtype), (size, *shape))


def zeros(target: Any, source: Any) -> Any:
    """Return the jacobian of a target that does not depend on the source."""
    from keras import ops

    return ops.zeros(tuple(target.shape) + tuple(source.shape), dtype=source.dtype)


def batch_rows(backend_tape: Tape, target: Any, sources: Sequence[Any]) -> list[Any]:
    """Return the jacobian of each example, of shape (batch, *target, *source), or None."""
    from keras import ops

    batch, *shape = target.shape
    if not math.prod(target.shape):
        found = backend_tape.gradient([target], sources, [None])
        return [
            None if one is None else batch_zeros(target, source)
            for one, source in zip(found, sources, strict=True)
        ]
    # Examples do not mix, so one output gradient asks for the same element of all of them.
    size = math.prod(shape)
    eye = ops.reshape(ops.eye(size, dtype=target.dtype), (size, 1, *shape))
    found = backend_tape.batched_gradient(target, sources, ops.repeat(eye, batch, axis=1))
    return [
        None if one is None else ops.reshape(ops.moveaxis(one, 0, 1), (batch, *shape, *tuple(one.shape[2:])))
        for one in found
    ]


def batch_zeros(target: Any, source: Any) -> Any:
    """Return the batch jacobian of a target that does not depend on the source."""
    from keras import ops

    return ops.zeros((*target.shape, *source.shape[1:]), dtype=source.dtype)

"""What operators with windows share: padding and cropping, spreading, axes with and without a batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from keras import ops

from unikeras.interop.operators._arrays import cut, reshape, shape

# What comes before and after an axis; negative for what is cut off.
Widths = Sequence[tuple[Any, Any]]


def widen(x: Any, widths: Widths, value: Any = 0) -> Any:
    """Pad the last axes with a value, or crop them where a width is negative."""
    first = len(x.shape) - len(widths)
    for axis, (before, after) in enumerate(widths, first):
        start, end = max(-before, 0), max(-after, 0)
        if start or end:
            x = cut(x, axis, slice(start, -end if end else None))
    added = [(max(before, 0), max(after, 0)) for before, after in widths]
    if any(map(any, added)):
        x = ops.pad(x, [(0, 0)] * first + added, constant_values=value)
    return x


def spread(x: Any, axis: int, step: int) -> Any:
    """Put `step - 1` zeros between the entries of an axis."""
    if step == 1:
        return x
    axis %= len(x.shape)
    sizes = shape(x)
    x = ops.expand_dims(x, axis + 1)
    x = ops.pad(x, [(0, 0)] * (axis + 1) + [(0, step - 1)] + [(0, 0)] * (len(sizes) - axis - 1))
    x = reshape(x, [*sizes[:axis], sizes[axis] * step, *sizes[axis + 1 :]])
    return cut(x, axis, slice(None, 1 - step))


def to_channels_last(x: Any) -> Any:
    """Move axis 1 to the end: Keras' convolutions and pools run there on every CPU."""
    return ops.moveaxis(x, 1, -1)


def to_channels_first(x: Any) -> Any:
    """Move the last axis to place 1."""
    return ops.moveaxis(x, -1, 1)


def batched(axes: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a rule of (batch, channels, and so many axes) take one example without a batch too."""

    def wrap(compute: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(compute)
        def run(x: Any, *args: Any, **kwargs: Any) -> Any:
            if len(x.shape) != axes + 1:
                return compute(x, *args, **kwargs)
            results = compute(ops.expand_dims(x, 0), *args, **kwargs)
            if isinstance(results, tuple):
                return tuple(ops.squeeze(result, 0) for result in results)
            return ops.squeeze(results, 0)

        return run

    return wrap

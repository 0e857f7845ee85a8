"""States and masks of a recurrence, in the shapes that a kernel relies on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from unikeras.errors import ArgumentValueError

# Axis sizes; None where a trace leaves one open.
Shape = tuple[int | None, ...]


def fit_operands(layer: Any, x: Any, states: Sequence[Any], mask: Any | None) -> tuple[list[Any], Any | None]:
    """Return the states as (batch, units) and the mask as (batch, time), broadcast as Keras' own loop does.

    A kernel in C does not compare shapes: PyTorch's reads and writes outside its memory where they differ.

    Args:
        layer: a recurrent layer.
        x: (batch, time, features).
        states: what the layer begins with.
        mask: of two axes; None for none.

    Raises:
        ArgumentValueError: a state or the mask has a shape that cannot be broadcast; the message lists all of them.
    """
    batch, time = x.shape[:2]
    names = ["h", "c"][: len(layer.state_size)]
    problems = []
    if len(states) != len(names):
        problems.append(f"initial_state has {len(states)} tensors, and the layer has {', '.join(names)}")
    wanted = (batch, layer.units)
    for number, (name, state) in enumerate(zip(names, states, strict=False)):
        # h enters a matrix product, which broadcasts no features.
        if not _broadcasts(state.shape, wanted) or (number == 0 and state.shape[-1:] != (layer.units,)):
            problems.append(
                f"initial state {name} has shape {tuple(state.shape)}, allowed is {_text(wanted)}"
            )
    if mask is not None and not _broadcasts(mask.shape, (batch, time), only_first=True):
        problems.append(f"the mask has shape {tuple(mask.shape)}, allowed is {_text((batch, time))}")
    if problems:
        raise ArgumentValueError(
            f"layer {layer.name!r} received an input of shape {tuple(x.shape)}: {'; '.join(problems)}"
        )
    states = [_broadcast(state, wanted, x) for state in states]
    return states, None if mask is None else _broadcast(mask, (batch, time), x)


def _broadcasts(shape: Sequence[int | None], wanted: Shape, only_first: bool = False) -> bool:
    """Say whether a shape is broadcast to another one, as far as their sizes are known."""
    if len(shape) > len(wanted):
        return False
    pairs = list(zip(reversed(tuple(shape)), reversed(wanted), strict=False))
    return all(
        have is None or want is None or have == want or (have == 1 and not (only_first and place == 0))
        for place, (have, want) in enumerate(pairs)
    )


def _broadcast(value: Any, wanted: Shape, x: Any) -> Any:
    have = tuple(value.shape)
    if len(have) == len(wanted) and not any(
        size == 1 and want != 1 for size, want in zip(have, wanted, strict=True)
    ):
        return value  # a size that is not known here is compared when the program runs
    sizes = ops.shape(x)
    return ops.broadcast_to(value, [size or sizes[axis] for axis, size in enumerate(wanted)])


def _text(wanted: Shape) -> str:
    batch, size = wanted
    return f"({'batch' if batch is None else batch}, {size}), or 1 in place of the batch"

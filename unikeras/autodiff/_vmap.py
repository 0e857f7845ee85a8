"""vmap: one function, for many examples at once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from unikeras import backends
from unikeras.errors import ArgumentError


def vmap(f: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """Return a function that maps `f` over an axis of its arguments, as one computation.

    Args:
        f: a function of nested structures of tensors that returns one. It may read Keras variables, not
            assign to them.
        in_axes: the axis of each positional argument to map over, or None for an argument that is the same
            for all: an int for all arguments, or a sequence with one entry per argument; an entry may be
            a nested structure, as the argument is.
        out_axes: where the mapped axis stands in the results: an int, or a structure as the result has.

    Returns:
        A function of arguments with that axis more, whose results have it too. Keyword arguments are
        passed on as they are.

    Raises:
        ArgumentError: in_axes does not fit the arguments, no argument is mapped, or the mapped axes have
            different lengths.
        TransformError: f assigns to a variable (Dropout or BatchNormalization in training mode).

    Source:
        jax.vmap (jax/_src/api.py).

    Example:
        >>> import keras, unikeras as uk
        >>> per_example = uk.vmap(uk.grad(lambda w, x: keras.ops.sum(w * x) ** 2), in_axes=(None, 0))
        >>> per_example(keras.ops.ones((2,)), keras.ops.ones((5, 2))).shape[0]
        5
    """

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        from keras import ops, tree

        from unikeras._scopes import ReadOnly, after_building

        axes = _axes(in_axes, args)
        leaves = tree.flatten(list(args))
        mapped = [i for i, axis in enumerate(axes) if axis is not None]
        batched = [_move(ops.convert_to_tensor(leaves[i]), axes[i], 0) for i in mapped]
        _check_lengths(batched)
        kept: list[Any] = []

        def run(elements: Sequence[Any]) -> list[Any]:
            given = list(leaves)
            for i, element in zip(mapped, elements, strict=True):
                given[i] = element
            with ReadOnly():
                result = f(*tree.pack_sequence_as(list(args), given), **kwargs)
            kept.append(result)
            return [ops.convert_to_tensor(leaf) for leaf in tree.flatten(result)]

        stacked = after_building(lambda: backends.current().vmap(run, batched))
        places = _broadcast(out_axes, kept[-1], "out_axes", "the result")
        moved = [_move(x, 0, axis) for x, axis in zip(stacked, places, strict=True)]
        return tree.pack_sequence_as(kept[-1], moved)

    return wrapped


def _move(tensor: Any, source: int | None, destination: int | None) -> Any:
    """Move an axis; by ops.transpose, because ops.moveaxis has no rule for a vmap around this one on PyTorch."""
    from keras import ops

    order = list(range(len(tensor.shape)))
    order.insert((destination or 0) % len(order), order.pop(source or 0))
    return tensor if order == sorted(order) else ops.transpose(tensor, order)


def _axes(in_axes: Any, args: tuple[Any, ...]) -> list[int | None]:
    """Return the axis of each leaf of the arguments."""
    if isinstance(in_axes, int):
        in_axes = (in_axes,) * len(args)
    if not isinstance(in_axes, tuple | list) or len(in_axes) != len(args):
        raise ArgumentError(
            f"in_axes is {in_axes!r} for {len(args)} positional arguments; pass an int, or a sequence with an int, "
            "None or a structure for each argument"
        )
    axes = [
        axis
        for number, (entry, arg) in enumerate(zip(in_axes, args, strict=True))
        for axis in _broadcast(entry, arg, f"in_axes[{number}]", f"argument {number}")
    ]
    if all(axis is None for axis in axes):
        raise ArgumentError("in_axes maps over no argument; name an axis for at least one")
    return axes


def _broadcast(entry: Any, structure: Any, name: str, where: str) -> list[int | None]:
    """Return one axis per leaf: an int or None stands for all leaves below it."""
    from keras import tree

    if entry is None or isinstance(entry, int):
        return [entry] * len(tree.flatten(structure))
    if isinstance(entry, dict) and isinstance(structure, dict) and entry.keys() == structure.keys():
        parts: Any = [(entry[key], structure[key]) for key in sorted(structure)]
    elif (
        isinstance(entry, tuple | list)
        and isinstance(structure, tuple | list)
        and len(entry) == len(structure)
    ):
        parts = zip(entry, structure, strict=True)
    else:
        raise ArgumentError(f"{name} is {entry!r}, which does not have the structure of {where}")
    return [axis for part, inner in parts for axis in _broadcast(part, inner, name, where)]


def _check_lengths(batched: Sequence[Any]) -> None:
    if len(lengths := {tensor.shape[0] for tensor in batched}) > 1:
        raise ArgumentError(
            f"the mapped axes have different lengths: {sorted(lengths)}; they must be the same"
        )

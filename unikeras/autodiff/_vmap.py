"""vmap: one function, for many examples at once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unikeras import backends
from unikeras.autodiff._nested import container_difference, flatten, open_node, pack, walk
from unikeras.autodiff._partners import is_numeric, shape_of
from unikeras.errors import ArgumentError, ArgumentValueError


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
        ArgumentError: in_axes does not fit the arguments, or out_axes does not fit the results (None is not
            supported there).
        ArgumentValueError: no argument is mapped, or the mapped axes have different lengths or length 0.
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
        from unikeras._keras.scopes import ReadOnly, after_building

        leaves = flatten(list(args))
        axes = _axes(in_axes, args)
        mapped = [i for i, axis in enumerate(axes) if axis is not None]
        batched = [move(leaves[i], axes[i], 0) for i in mapped]
        kept: list[Any] = []

        def run(elements: Sequence[Any]) -> list[Any]:
            given = list(leaves)
            for i, element in zip(mapped, elements, strict=True):
                given[i] = element
            with ReadOnly():
                result = f(*pack(list(args), given), **kwargs)
            kept.append(result)
            return _outputs(result)

        stacked = after_building(lambda: backends.current().vmap(run, batched))
        places = _places(out_axes, kept[-1], stacked)
        moved = [move(x, 0, axis) for x, axis in zip(stacked, places, strict=True)]
        return pack(kept[-1], moved)

    return wrapped


def move(tensor: Any, source: int | None, destination: int | None) -> Any:
    """Move an axis; by ops.transpose, because ops.moveaxis has no rule for a vmap around this one on PyTorch."""
    from keras import ops

    tensor = ops.convert_to_tensor(tensor)
    rank = len(tensor.shape)
    order = list(range(rank))
    order.insert((destination or 0) % rank, order.pop((source or 0) % rank))
    return tensor if order == sorted(order) else ops.transpose(tensor, order)


def _outputs(result: Any) -> list[Any]:
    from keras import ops

    leaves = list(walk(result, "the result"))
    if problems := [f"{name} is a {type(leaf).__name__}" for name, leaf in leaves if not is_numeric(leaf)]:
        raise ArgumentError(f"{'; '.join(problems)}; a function under vmap returns tensors and numbers")
    return [ops.convert_to_tensor(leaf) for _, leaf in leaves]


def _axes(in_axes: Any, args: tuple[Any, ...]) -> list[int | None]:
    """Return the axis of each leaf of the arguments."""
    if _is_axis(in_axes):
        in_axes = (in_axes,) * len(args)
    if not isinstance(in_axes, tuple | list) or len(in_axes) != len(args):
        raise ArgumentError(
            f"in_axes is {in_axes!r} for {len(args)} positional arguments; pass an int, or a sequence with an int, "
            "None or a structure for each argument"
        )
    named: list[tuple[str, Any]] = []
    axes: list[int | None] = []
    for number, (entry, arg) in enumerate(zip(in_axes, args, strict=True)):
        named += walk(arg, f"argument {number}")
        axes += _broadcast(entry, arg, f"in_axes[{number}]", f"argument {number}")
    if all(axis is None for axis in axes):
        raise ArgumentValueError("in_axes maps over no argument; name an axis for at least one")
    mapped = [(name, leaf, axis) for (name, leaf), axis in zip(named, axes, strict=True) if axis is not None]
    _check_mapped(mapped)
    return axes


def _check_mapped(mapped: Sequence[tuple[str, Any, int]]) -> None:
    problems = [problem for name, leaf, axis in mapped if (problem := _no_axis(name, leaf, axis))]
    if problems:
        raise ArgumentError(f"{'; '.join(problems)}; in_axes=None leaves an argument the same for all")
    lengths = [(shape_of(leaf)[axis], name, axis) for name, leaf, axis in mapped]
    known = {length for length, _, _ in lengths if length is not None}
    if len(known) > 1:
        each = ", ".join(f"{name} has {length} along axis {axis}" for length, name, axis in lengths)
        raise ArgumentValueError(
            f"the mapped axes have different lengths: {sorted(known)}; they must be the same: {each}"
        )
    if known == {0}:
        raise ArgumentValueError(
            f"the mapped axis of {lengths[0][1]} has length 0; vmap needs at least one example to run the function on"
        )


def _no_axis(name: str, leaf: Any, axis: int) -> str:
    if not is_numeric(leaf):
        return f"{name} is a {type(leaf).__name__}, which has no axis to map over"
    if not (rank := len(shape_of(leaf))):
        return f"{name} is a scalar, which has no axis to map over"
    if not -rank <= axis < rank:
        return f"{name} has shape {shape_of(leaf)}, which has no axis {axis}"
    return ""


def _places(out_axes: Any, result: Any, stacked: Sequence[Any]) -> list[int]:
    """Return the axis of each output at which the mapped axis stands."""
    axes = _broadcast(out_axes, result, "out_axes", "the result")
    names = [name for name, _ in walk(result, "the result")]
    places, problems = [], []
    for name, axis, tensor in zip(names, axes, stacked, strict=True):
        rank = len(tensor.shape)
        if axis is None:
            problems.append(f"{name} has out_axes None")
        elif not -rank <= axis < rank:
            problems.append(
                f"{name} has shape {tuple(tensor.shape)} with the mapped axis, which has no axis {axis}"
            )
        else:
            places.append(axis)
    if problems:
        raise ArgumentError(
            f"out_axes does not fit: {'; '.join(problems)}. It must be an int for each result: None, which JAX takes "
            "for a result that is the same for all, is not supported; take element 0 of the mapped result"
        )
    return places


def _is_axis(entry: Any) -> bool:
    return isinstance(entry, int | np.integer) and not isinstance(entry, bool)


def _broadcast(entry: Any, structure: Any, name: str, where: str) -> list[int | None]:
    """Return one axis per leaf: an int or None stands for all leaves below it."""
    if entry is None or _is_axis(entry):
        return [entry if entry is None else int(entry)] * len(flatten(structure))
    node, inner = open_node(entry), open_node(structure)
    if node is None:
        raise ArgumentError(f"{name} is {entry!r}; an axis must be an int or None")
    if inner is None:
        raise ArgumentError(f"{name} is {entry!r}, which does not have the structure of {where}")
    if difference := container_difference(name, entry, where, structure):
        raise ArgumentError(
            f"{name} is {entry!r}, which does not have the structure of {where}: {'; '.join(difference)}"
        )
    entries = dict(zip(node.keys, node.children, strict=True))
    return [
        axis
        for key, child in zip(inner.keys, inner.children, strict=True)
        for axis in _broadcast(entries[key], child, f"{name}[{key!r}]", f"{where}[{key!r}]")
    ]

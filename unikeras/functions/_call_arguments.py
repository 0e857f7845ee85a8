"""What distinguishes one call of a compiled function from another: structure, Python values, shapes, dtypes."""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import optree

from unikeras import backends
from unikeras.backends import Backend, Composite
from unikeras.errors import ArgumentError
from unikeras.random import is_portable

TENSOR = object()  # stands where a tensor stood, once the tensors are taken out of a structure


class Static:
    """A value that chooses a trace although it may be an array or a container: it stays in one piece."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self._key = self._identify()

    def _identify(self) -> Hashable:
        return type(self.value), self.value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Static) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return repr(self.value)


class _Same(Static):
    """An object that stands for itself: Keras variables compare element by element, and cannot be keys."""

    def _identify(self) -> Hashable:
        return id(self.value)


@dataclass(frozen=True)
class Node:
    """An object of a class that a framework knows as a tree, taken apart.

    Attributes:
        of: how it is put together of its children.
        structure: the nesting of the children.
        static: for each leaf what `CallSignature.static` has for one.
    """

    of: Composite
    structure: Any
    static: tuple[Any, ...]

    @property
    def kind(self) -> Hashable:
        """What the framework says of it besides the children."""
        return self.of.kind

    @property
    def count(self) -> int:
        """How many tensors are in it."""
        counts = [
            1 if entry is TENSOR else getattr(entry, "count", 0) for entry in map(_of_tensors, self.static)
        ]
        return sum(counts)


def _of_tensors(entry: Any) -> Any:
    return entry if entry is TENSOR or isinstance(entry, Composite | Node) else None


@dataclass(frozen=True)
class CallSignature:
    """The arguments of one call without the tensors' values; calls that are equal share a trace.

    Attributes:
        structure: the nesting of lists, tuples and dictionaries.
        static: each Python value with its type (for 1 == 1.0 == True), `TENSOR` for each tensor, a `Composite` for one
            that consists of several, and a `Node` for an object that is registered as a tree.
        shapes: of the tensors, and of the parts of those that have parts.
        dtypes: of the tensors.
        captured: what the values were that the function reads besides its arguments.
        portable: whether its random draws are portable.
    """

    structure: Any
    static: tuple[Any, ...]
    shapes: tuple[tuple[int | None, ...], ...]
    dtypes: tuple[Hashable, ...]
    captured: Any = None
    portable: bool = False

    @property
    def ignoring_sizes(self) -> Hashable:
        """What calls have in common that differ only in the sizes of axes."""
        return (
            self.structure,
            self.static,
            self.dtypes,
            tuple(map(len, self.shapes)),
            self.captured,
            self.portable,
        )

    @property
    def ignoring_values(self) -> Hashable:
        """What calls have in common that differ in sizes, and in what the function reads besides its arguments."""
        return self.structure, self.static, self.dtypes


class Parameters:
    """The parameters of a function: calls that mean the same become the same.

    Args:
        f: the function.
    """

    def __init__(self, f: Callable[..., Any]) -> None:
        self._signature: inspect.Signature | None = None
        with contextlib.suppress(TypeError, ValueError):  # code that is not Python has none
            self._signature = inspect.signature(f)
        parameters = self._signature.parameters.values() if self._signature else ()
        # Defaults of other types are left alone: arrays would arrive as tensors, containers as copies.
        self._defaults = {p.name: p.default for p in parameters if isinstance(p.default, _PLAIN)}
        by_name = any(p.kind is p.KEYWORD_ONLY and p.name in self._defaults for p in parameters)
        positional = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
        self._all = float("inf") if by_name else positional

    def order(self, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """Return arguments by position where they can be, with the defaults of those that were left out."""
        if self._signature is None or (not kwargs and len(args) >= self._all):
            return args, kwargs
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError:
            return args, kwargs  # the function says what is wrong
        for name, default in self._defaults.items():
            bound.arguments.setdefault(name, default)
        return bound.args, bound.kwargs


_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def split(tree: Any, backend: Backend, captured: Hashable = None) -> tuple[CallSignature, list[Any]]:
    """Take nested values apart into what a trace is made for and the tensors that go through it.

    numpy arrays and numbers count as tensors. `captured` is what the calls are told apart by besides.
    """
    tensors: list[Any] = []
    structure, static = _take_apart(tree, backend, tensors)
    try:
        shapes = tuple([tuple(tensor.shape) for tensor in tensors])
    except ValueError:  # TensorFlow does not know the rank of a result, and nobody asks for it
        shapes = ()
    dtypes = tuple([tensor.dtype for tensor in tensors])
    return CallSignature(structure, static, shapes, dtypes, captured, is_portable()), tensors


def _take_apart(tree: Any, backend: Backend, tensors: list[Any]) -> tuple[Any, tuple[Any, ...]]:
    """Return the nesting of values and what stands for each leaf; tensors are appended to `tensors`."""
    leaves, structure = optree.tree_flatten(tree, none_is_leaf=True, namespace="keras")
    return structure, tuple([_entry(leaf, backend, tensors) for leaf in leaves])


def _entry(leaf: Any, backend: Backend, tensors: list[Any]) -> Any:
    if backend.is_tensor(leaf):
        tensors.append(leaf)
        return TENSOR
    if is_array(leaf):
        tensors.append(backend.to_native(leaf))
        return TENSOR
    if is_plain(leaf):
        return exact(leaf)
    if isinstance(leaf, Static):
        return leaf
    if isinstance(leaf, keras.Variable):
        return _Same(leaf)
    if taken := backend.flatten_composite(leaf):
        tensors.extend(taken[1])
        return taken[0]
    if taken := backend.children(leaf):
        return Node(taken[0], *_take_apart(taken[1], backend, tensors))
    if is_foreign(leaf):
        raise ArgumentError(_foreign(leaf, backend))
    if isinstance(leaf, Iterator) and type(leaf).__module__ in ("builtins", "itertools"):
        raise ArgumentError(
            f"a {type(leaf).__name__} goes into or out of a compiled function; it can be read once, and a "
            "function that is compiled may run more than once. Make a list of it"
        )
    return type(leaf), leaf


def exact(value: Any) -> Hashable:
    """Return what is equal for values that are the same to a program: True is not 1, -0.0 not 0.0, NaN is NaN.

    Numbers, texts and tuples of them stand for their value, all else for itself.
    """
    if type(value) is float:
        return _float(value)
    if type(value) is complex:
        return complex, value, repr(value)  # which tells the signs of its zeros
    if is_plain(value):
        return type(value), value
    if isinstance(value, np.generic):
        return type(value), value.tobytes()
    if isinstance(value, tuple):
        return type(value), tuple(map(exact, value))
    return _Same(value)


def show(entry: Any) -> str:
    """Return how a reader would write what `exact` was made from."""
    return repr(entry[1] if isinstance(entry, tuple) else entry)


def is_plain(value: Any) -> bool:
    """Say whether a value is a number, a flag, a text or None."""
    return type(value) in _PLAIN


def _float(value: float) -> tuple[Any, ...]:
    """Return what a number is told from others by: 0.0 equals -0.0, and NaN nothing."""
    if value != value:
        return float, math.nan  # this one object
    return (float, value) if value else (float, value, math.copysign(1.0, value))


def merge(call: CallSignature, tensors: Sequence[Any]) -> Any:
    """Put tensors and Python values together again; the reverse of `split`."""
    return _put_together(call.structure, call.static, iter(tensors))


def _put_together(structure: Any, static: Sequence[Any], remaining: Iterator[Any]) -> Any:
    return optree.tree_unflatten(structure, [_leaf(entry, remaining) for entry in static])


def _leaf(entry: Any, remaining: Iterator[Any]) -> Any:
    if entry is TENSOR:
        return next(remaining)
    if isinstance(entry, Composite):
        return entry.join(entry.kind, [next(remaining) for _ in range(entry.count)])
    if isinstance(entry, Node):
        return entry.of.join(entry.kind, _put_together(entry.structure, entry.static, remaining))
    return entry.value if isinstance(entry, Static) else entry[1]


def is_array(value: Any) -> bool:
    """Say whether a value is numpy's, and numeric: functions get it as a tensor."""
    return isinstance(value, np.ndarray | np.number | np.bool_)


def is_foreign(value: Any) -> bool:
    """Say whether a value is a tensor of a framework that does not run here."""
    package = type(value).__module__.partition(".")[0]
    return package in _FRAMEWORKS and hasattr(value, "shape") and hasattr(value, "dtype")


# The module that a framework's tensors say they are of; jaxlib is JAX's.
_FRAMEWORKS = frozenset([*(entry.framework for entry in backends.ENTRIES.values()), "jaxlib"])


def _foreign(value: Any, backend: Backend) -> str:
    kind = f"{type(value).__module__.partition('.')[0]}'s {type(value).__qualname__}"
    if "Ragged" in kind:
        instead = "Ragged tensors exist on TensorFlow alone: pass a padded array, and a mask or the lengths"
    else:
        instead = "Pass a numpy array, which arrives as a tensor"
    return f"an argument or a result of a compiled function is {kind}, and Keras runs on {backend.name}. {instead}"


def leaves(tree: Any) -> list[Any]:
    """Return nested values flat."""
    return optree.tree_leaves(tree, none_is_leaf=True, namespace="keras")


def with_tensors(tree: Any, backend: Backend) -> Any:
    """Return nested values with tensors in the place of numpy arrays."""
    leaves, structure = optree.tree_flatten(tree, none_is_leaf=True, namespace="keras")
    if all(is_plain(leaf) or backend.is_tensor(leaf) for leaf in leaves):
        return tree
    return optree.tree_unflatten(structure, [_as_tensor(leaf, backend) for leaf in leaves])


def _as_tensor(leaf: Any, backend: Backend) -> Any:
    if isinstance(leaf, Static):
        return leaf.value
    if is_array(leaf):
        return keras.ops.convert_to_tensor(leaf)
    taken = None if is_plain(leaf) else backend.children(leaf)
    return taken[0].join(taken[0].kind, with_tensors(taken[1], backend)) if taken else leaf


def names(f: Callable[..., Any], structure: Any) -> list[str]:
    """Return for each leaf of `(args, kwargs)` what a reader of `f` calls it: `x`, `batch[0]`, `options['rate']`."""
    parameters = list(inspect.signature(f).parameters)
    return [_name(path, parameters) for path in optree.treespec_paths(structure)]


def objects(f: Callable[..., Any], call: CallSignature) -> dict[str, Any]:
    """Return the arguments of a call that are objects of Python, by the names of their parameters."""
    with contextlib.suppress(TypeError, ValueError):  # code that is not Python has no signature
        entries = zip(names(f, call.structure), call.static, strict=True)
        return {
            name: entry[1] for name, entry in entries if isinstance(entry, tuple) and not is_plain(entry[1])
        }
    return {}


def _name(path: Sequence[Any], parameters: Sequence[str]) -> str:
    number_or_key, rest = path[1], path[2:]
    is_key = isinstance(number_or_key, str)
    # The last parameter may be *args.
    name = number_or_key if is_key else parameters[min(number_or_key, len(parameters) - 1)]
    return str(name) + "".join(f"[{step!r}]" for step in rest)

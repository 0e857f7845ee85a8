"""How a torch module is called inside a Keras model, and an example of such a call."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import tree

from unikeras._specs.signature import numpy_dtype
from unikeras.errors import ArgumentError, StateError

# Sizes that stand for an axis of any size in an example. One that the module does not take is followed by the next.
SIZES = (16, 64, 224, 4)
_BATCH = 3

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class ModuleCalls:
    """The shapes and dtypes that a module was called on.

    Args:
        module: the torch module, of which only the signature is read; None where there is none.
    """

    def __init__(self, module: Any) -> None:
        self._signature = _signature(module)
        self._seen: Arguments | None = None
        self._shapes: set[Any] = set()

    @property
    def is_known(self) -> bool:
        """Whether the module was called."""
        return self._seen is not None

    def arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Arguments:
        """Return the module's arguments: Keras gives several inputs in one list or dict."""
        names = () if self._signature is None else tuple(self._signature.parameters)
        if len(args) == 1 and not kwargs and len(names) > 1:
            (given,) = args
            if isinstance(given, list | tuple) and 1 < len(given) <= len(names):
                return tuple(given), {}
            if isinstance(given, Mapping) and set(given) <= set(names):
                return (), dict(given)
        return tuple(args), dict(kwargs)

    def note(self, arguments: Arguments) -> None:
        """Remember a call; an axis whose size differs from the one of an earlier call is dynamic.

        A later call with sizes that only an exporter's trace has says nothing: there every axis may look dynamic.
        """
        leaves = [leaf for leaf in tree.flatten(arguments) if _is_tensor(leaf)]
        if self._seen is not None and any(_is_traced(size) for leaf in leaves for size in leaf.shape):
            return
        shapes = tuple(tuple(_size(size) for size in leaf.shape) for leaf in leaves)
        if shapes in self._shapes:
            return
        self._shapes.add(shapes)
        specs = tree.map_structure(lambda leaf: _spec(leaf) if _is_tensor(leaf) else leaf, arguments)
        if self._seen is None:
            self._seen = specs
            return
        try:
            self._seen = tree.map_structure(_merged, self._seen, specs)
        except (ValueError, TypeError):  # of another structure, such as without an optional argument
            return

    def example(self, size: int, dtype: str | None) -> tuple[Any, Any]:
        """Return arrays of a call, in a tuple or by name, and their dynamic axes, nested likewise.

        Args:
            size: of axes of any size.
            dtype: of floating-point inputs; None for those that they have.

        Raises:
            StateError: the module was not called.
        """
        if self._seen is None:
            raise StateError(
                "the layer was not called, so nobody knows its inputs; call it once, or build the model"
            )
        args, kwargs = self._seen
        given: Any = args
        if kwargs:
            if self._signature is None:
                raise ArgumentError(f"the module has no signature; pass {', '.join(kwargs)} by position")
            given = dict(self._signature.bind(*args, **kwargs).arguments)
        rng = np.random.default_rng(0)
        arrays = _mapped(lambda leaf: _array(leaf, size, dtype, rng), given)
        has_more = any(None in leaf.shape[1:] for leaf in tree.flatten(given) if _is_tensor(leaf))
        return arrays, _mapped(_dynamic_axes, given) if has_more else None


def _signature(module: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(module.forward)
    except (AttributeError, TypeError, ValueError):  # no module, or one that is not written in Python
        return None


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _spec(leaf: Any) -> keras.KerasTensor:
    shape = tuple(_size(size) for size in leaf.shape)
    return keras.KerasTensor(shape, keras.backend.standardize_dtype(leaf.dtype))


def _size(size: Any) -> int | None:
    return None if _is_traced(size) else size


def _is_traced(size: Any) -> bool:
    return size is not None and type(size) is not int


def _merged(known: Any, new: Any) -> Any:
    if not (_is_tensor(known) and _is_tensor(new)) or len(known.shape) != len(new.shape):
        return known
    sizes = [a if a == b else None for a, b in zip(known.shape, new.shape, strict=True)]
    return keras.KerasTensor(tuple(sizes), known.dtype)


def _mapped(function: Any, value: Any) -> Any:
    """Apply a function to the tensors of nested arguments; the order of a dict is the module's."""
    if isinstance(value, Mapping):
        return {key: _mapped(function, inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_mapped(function, inner) for inner in value)
    return function(value) if _is_tensor(value) else (None if function is _dynamic_axes else value)


def _array(leaf: Any, size: int, dtype: str | None, rng: np.random.Generator) -> Any:
    shape = [
        (size if axis else _BATCH) if length is None else length for axis, length in enumerate(leaf.shape)
    ]
    kind = numpy_dtype(str(leaf.dtype))
    if keras.backend.is_float_dtype(leaf.dtype):
        return rng.normal(size=shape).astype(numpy_dtype(dtype or leaf.dtype))
    # Numbers that are indices into any table, and both booleans.
    return rng.integers(0, 2, size=shape).astype(kind)


def _dynamic_axes(leaf: Any) -> dict[int, str]:
    return {axis: "" for axis, size in enumerate(leaf.shape) if size is None or axis == 0}

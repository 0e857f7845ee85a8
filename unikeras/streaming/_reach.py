"""How many steps apart the steps are that a layer may mix, as far as its code and its attributes tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType
from typing import Any

import keras
import numpy as np
from keras import layers

# What Keras' layers call the sizes of what they look at.
_WINDOWS = ("kernel_size", "pool_size", "strides", "padding", "cropping", "size", "n", "target_shape")
# How far code is taken to look that says nothing of it.
UNKNOWN = 128
# Numbers in code of one's own beyond this are taken for sizes of features and vocabularies.
LARGEST = 4096


def reach(operation: Any, args: Any, kwargs: Any) -> int:
    """Return over how many steps a layer or an operation of a graph has to be run to see what it mixes.

    More than it mixes is no harm. Each step by itself is treated by layers of Keras that have no window, and by what
    `TimeDistributed` holds.

    Args:
        operation: the layer or operation.
        args: those of the call in the graph.
        kwargs: likewise.
    """
    if type(operation) is layers.TimeDistributed:
        return 0
    if not isinstance(operation, layers.Layer):
        own = 0 if _is_of_keras(operation) else UNKNOWN
        return max([own, *_numbers([args, kwargs, vars(operation)])])
    parts = list(operation._flatten_layers())
    window = sum(map(_window, parts))
    if all(map(_is_of_keras, parts)):
        return window
    foreign = [number for part in parts if not _is_of_keras(part) for number in _own_numbers(part)]
    return window + max([UNKNOWN, *foreign])


def _window(layer: Any) -> int:
    sizes = [number for name in _WINDOWS for number in _numbers(getattr(layer, name, None))]
    dilation = max(_numbers(getattr(layer, "dilation_rate", None)), default=1)
    return max(sizes, default=0) * max(dilation, 1)


def _is_of_keras(operation: Any) -> bool:
    """Say whether only code of Keras runs: none that was handed to a layer, such as an activation."""
    if isinstance(operation, layers.Lambda) or not type(operation).__module__.startswith("keras."):
        return False
    return not any(
        isinstance(value, FunctionType) and not value.__module__.startswith("keras.")
        for value in vars(operation).values()
    )


def _own_numbers(layer: Any) -> Iterator[int]:
    """Yield numbers of a layer's attributes, and of the code of its class and its functions."""
    yield from _numbers({name: value for name, value in vars(layer).items() if not name.startswith("_")})
    functions = [value for value in vars(layer).values() if isinstance(value, FunctionType)]
    for kind in type(layer).__mro__:
        if not kind.__module__.startswith("keras."):
            functions += [value for value in vars(kind).values() if isinstance(value, FunctionType)]
    for function in functions:
        yield from _code_numbers(function.__code__)
        yield from _numbers([cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)])


def _code_numbers(code: CodeType) -> Iterator[int]:
    for constant in code.co_consts:
        yield from _code_numbers(constant) if isinstance(constant, CodeType) else _numbers(constant)


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _numbers(value: Any) -> Iterator[int]:
    """Yield the sizes of the integers in a structure, and of the axes and integers of arrays."""
    if isinstance(value, bool | str | bytes):
        return
    if isinstance(value, int | np.integer):
        size = abs(int(value))
        if size <= LARGEST:
            yield size
    elif isinstance(value, slice):
        yield from _numbers([value.start, value.stop, value.step])
    elif isinstance(value, Mapping):
        yield from _numbers(list(value.values()))
    elif isinstance(value, list | tuple | set):
        for part in value:
            yield from _numbers(part)
    elif isinstance(value, np.ndarray):
        yield from value.shape
        if value.dtype.kind in "iu" and value.size:
            yield from _numbers(int(np.abs(value).max()))
    elif hasattr(value, "shape") and not isinstance(value, keras.KerasTensor):
        yield from _numbers(list(value.shape))

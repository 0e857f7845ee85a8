"""Devices by name, alike on every backend, on top of Keras' own device scope."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from unikeras.backends._choose import current_name
from unikeras.backends._contract import Backend
from unikeras.backends._registry import load
from unikeras.errors import ArgumentError, ArgumentValueError


def devices() -> list[str]:
    """Return the names of the devices that the current backend can compute on.

    Returns:
        Names such as `"cpu:0"` and `"gpu:0"`; the CPU is always among them.

    Example:
        >>> import unikeras as uk
        >>> "cpu:0" in uk.devices()
        True
    """
    return _backend().devices()


def device(name: str) -> AbstractContextManager[str]:
    """Return a context in which tensors and variables are made, and operations run, on a device.

    It is `keras.device`, with the same names on each backend, and an error where the device is not there: TensorFlow
    would compute on the CPU without a word. It holds for the thread that enters it, and contexts nest.

    Args:
        name: the kind of the device and its number, such as `"cpu:0"` or `"gpu:1"`, in any case. Without a number it is
            the first of its kind; `"cuda"` is another word for `"gpu"`.

    Returns:
        A context for one `with` block, whose value is the full name.

    Raises:
        ArgumentError: the name is no string.
        ArgumentValueError: there is no such device here; the message lists those that are here.

    Source: keras.device.

    Example:
        >>> import keras, unikeras as uk
        >>> with uk.device("cpu") as name:
        ...     x = keras.ops.ones((2,))
        >>> name
        'cpu:0'
    """
    return _entered(_full_name(name))


def beside(variables: Iterable[Any]) -> AbstractContextManager[str | None]:
    """Return a context in which operations run on the device that holds variables.

    Where that is the device that is current anyway, or where they are on several devices, nothing changes.

    Args:
        variables: Keras variables; those that are not built yet are ignored.

    Returns:
        A context whose value is the name of that device; None where nothing changes.
    """
    import keras

    backend = _backend()
    names = (backend.device_of(v._value) for v in variables if getattr(v, "_value", None) is not None)
    first = next(names, None)
    # The first decides in the usual case: this is asked before each batch of train_on_batch.
    if first in (None, backend.device_of(keras.ops.zeros(()))) or any(name != first for name in names):
        return contextlib.nullcontext()
    return _entered(first)


@contextlib.contextmanager
def _entered(name: str) -> Iterator[str]:
    import keras

    with keras.device(_backend().keras_device(name)):
        yield name


def _backend() -> Backend:
    return load(current_name())


def _full_name(name: Any) -> str:
    if not isinstance(name, str):
        raise ArgumentError(
            f"device takes a name such as 'cpu' or 'gpu:0'; received {type(name).__qualname__} {name!r}"
        )
    kind, _, number = name.lower().partition(":")
    full = f"{'gpu' if kind == 'cuda' else kind}:{number or 0}"
    here = devices()
    if full not in here:
        raise ArgumentValueError(
            f"there is no device {name!r} for {current_name()} here; there {_list(here)}. "
            "See `unikeras doctor` for what each installed backend can compute on"
        )
    return full


def _list(names: list[str]) -> str:
    return f"is {names[0]}" if len(names) == 1 else f"are {', '.join(names)}"

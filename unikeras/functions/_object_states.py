"""The Python objects that a function can reach, as they are now, so that what a trial run changes can be put back.

A run builds layers and optimizers, which changes flags, lists and dictionaries of many objects; it may also count, log
or draw random numbers. The objects stay the same ones, and only what differs afterwards is written to.
"""

from __future__ import annotations

import collections
import functools
import random
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np

from unikeras import backends
from unikeras.functions._call_arguments import is_plain
from unikeras.functions._inspection import (
    NOTHING,
    contents,
    is_library,
    is_library_name,
    own_attributes,
    unwrap,
)

# Objects of these packages change only where a variable does, torch's modules aside.
_FRAMEWORKS = frozenset(["numpy", "jaxlib", *backends.names()])
_MODULES = "torch.nn.modules"
# Objects of other modules of Python hold locks, files and whole processes.
_PYTHON = ("builtins", "types", "collections", "functools", "argparse")
_ATOMS = (
    type,
    types.ModuleType,
    types.BuiltinFunctionType,
    types.CodeType,
    np.ndarray,
    np.generic,
    range,
    slice,
)


_ITERABLE: tuple[Any, ...] = (list, tuple, set, frozenset)


class ObjectStates:
    """What the objects hold that can be reached from some.

    Values of Keras variables are not among it: they are tensors, which a trace does not change.

    Args:
        roots: the objects to begin with.
        holders: the class of objects that hold programs, which are no state; other threads may add some.
    """

    def __init__(self, roots: Iterable[Any], holders: type) -> None:
        self._holders = holders
        self._restorers: list[Callable[[], None]] = []
        self._seen: dict[int, Any] = {}  # with the objects, so that no other one gets their number
        self._is_tensor = backends.current().is_tensor
        self._waiting = [*roots]
        while self._waiting:
            self._visit(self._waiting.pop())
        self._keep_generator(random.getstate, random.setstate)
        self._keep_generator(np.random.get_state, np.random.set_state)

    def restore(self) -> None:
        """Put back what has changed."""
        for restore in self._restorers:
            restore()

    def _visit(self, value: Any) -> None:
        if is_plain(value) or isinstance(value, _ATOMS) or id(value) in self._seen:
            return
        self._seen[id(value)] = value
        if isinstance(value, keras.Variable):
            self._keep_entries(vars(value), [name for name in vars(value) if name != "_value"])
        elif isinstance(value, types.FunctionType):
            self._visit_function(value)
        elif isinstance(value, self._holders):
            self._waiting.append(unwrap(value))
        elif (parts := _parts(value)) is not None:
            self._waiting.extend(parts)
        elif isinstance(value, list | dict | set | tuple | frozenset | collections.deque | types.CellType):
            self._visit_container(value)
        elif not self._is_tensor(value):
            self._visit_object(value)

    def _visit_container(self, value: Any) -> None:
        if isinstance(value, types.CellType):
            before = contents(value)
            self._restorers.append(functools.partial(_restore_cell, value, before))
            self._waiting.append(before)
            return
        if isinstance(value, dict):
            self._keep_dictionary(value)
        elif isinstance(value, list | set | collections.deque):
            restore: Any = _restore_set if isinstance(value, set) else _restore_sequence
            self._restorers.append(functools.partial(restore, value, _elements(value)))
        self._waiting.extend(_elements(value))
        if own_attributes(value) is not NOTHING:
            self._visit_object(value)

    def _visit_object(self, value: Any) -> None:
        if isinstance(value, random.Random):
            self._keep_generator(value.getstate, value.setstate)
        elif isinstance(value, np.random.Generator):
            bits = value.bit_generator
            self._keep_generator(lambda: bits.state, lambda state: setattr(bits, "state", state))
        elif hasattr(value, "get_state") and hasattr(value, "set_state"):  # numpy's older kind, and torch's
            self._keep_generator(value.get_state, value.set_state)
        if not _may_change(type(value)):
            return
        if (own := own_attributes(value)) is not NOTHING:
            self._keep_dictionary(own)
            self._waiting.extend(own.values())
        for cls in type(value).__mro__:
            self._keep_slots(value, cls)
            if not is_library_name(cls.__module__):
                self._visit_class(cls)

    def _visit_class(self, cls: type) -> None:
        if id(cls) not in self._seen:
            self._seen[id(cls)] = cls
            before = {name: value for name, value in vars(cls).items() if not name.startswith("__")}
            self._restorers.append(functools.partial(_restore_class, cls, before))
            self._waiting.extend(before.values())

    def _visit_function(self, f: types.FunctionType) -> None:
        self._waiting.extend(f.__closure__ or ())
        self._waiting.append(vars(f))
        if is_library(f):
            return
        self._waiting.extend([f.__defaults__, f.__kwdefaults__])
        names = set(_names(f.__code__))
        for holder in _namespaces(f.__globals__, names):
            self._keep_entries(holder, names)
            self._waiting.extend(holder[name] for name in names if name in holder)

    def _keep_slots(self, value: Any, cls: type) -> None:
        for slot in vars(cls).values():
            if isinstance(slot, types.MemberDescriptorType) and not is_library_name(cls.__module__):
                before = getattr(value, slot.__name__, NOTHING)
                self._restorers.append(functools.partial(_restore_attribute, value, slot.__name__, before))
                self._waiting.append(before)

    def _keep_dictionary(self, holder: dict[Any, Any]) -> None:
        self._restorers.append(
            functools.partial(_restore_dictionary, holder, list(dict.items(holder)), self._holders)
        )

    def _keep_entries(self, holder: dict[str, Any], names: Iterable[str]) -> None:
        before = {name: holder.get(name, NOTHING) for name in names}
        self._restorers.append(functools.partial(_restore_entries, holder, before))

    def _keep_generator(self, get: Callable[[], Any], set_: Callable[[Any], Any]) -> None:
        self._restorers.append(functools.partial(set_, get()))


def _parts(value: Any) -> list[Any] | None:
    """Return what is behind a callable that is no plain function; None for other objects."""
    if isinstance(value, types.MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, staticmethod | classmethod):
        return [value.__func__]
    if isinstance(value, property):
        return [value.fget, value.fset]
    if isinstance(value, dict) and not issubclass(type(value), dict):
        return [getattr(value, "__wrapped__", None)]  # TensorFlow's, for dictionaries in attributes
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    return None


def _may_change(cls: type) -> bool:
    package = cls.__module__.partition(".")[0]
    if any(base.__module__.startswith(_MODULES) for base in cls.__mro__):
        return True
    if package in _FRAMEWORKS:
        return issubclass(cls, list | dict)  # TensorFlow's, for lists in attributes
    return not is_library_name(cls.__module__) or package in (*_PYTHON, "keras", "unikeras")


def _names(code: types.CodeType) -> Iterator[str]:
    """Yield the globals and attributes that a code object names, and those in it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _namespaces(globals_: dict[str, Any], names: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield a function's globals, and those of the user's modules that it names."""
    yield globals_
    for value in [globals_.get(name) for name in names]:
        if isinstance(value, types.ModuleType) and not is_library_name(value.__name__):
            yield vars(value)


def _elements(value: Any) -> list[Any]:
    """Return what a container holds by itself, whatever its class says of it: TensorFlow's lists have two contents."""
    for kind in _ITERABLE:
        if isinstance(value, kind):
            return [*kind.__iter__(value)]
    return [*dict.values(value)] if isinstance(value, dict) else [*value]


def _restore_dictionary(holder: dict[Any, Any], before: list[tuple[Any, Any]], stay: type) -> None:
    # Not through methods of a subclass, which may track; one that has an order of its own must see it.
    kind: Any = collections.OrderedDict if isinstance(holder, collections.OrderedDict) else dict
    known = dict(before)
    # A compiled method is left with an instance by whoever asks for it.
    for key in [key for key, value in dict.items(holder) if key not in known and not isinstance(value, stay)]:
        kind.__delitem__(holder, key)
    for key, value in before:
        if dict.get(holder, key, NOTHING) is not value:
            kind.__setitem__(holder, key, value)


def _restore_entries(holder: dict[str, Any], before: dict[str, Any]) -> None:
    for name, value in before.items():
        if value is NOTHING:
            holder.pop(name, None)
        elif holder.get(name, NOTHING) is not value:
            holder[name] = value


def _restore_sequence(holder: Any, before: list[Any]) -> None:
    now = _elements(holder)
    if len(now) == len(before) and all(a is b for a, b in zip(now, before, strict=True)):
        return
    if isinstance(holder, list):
        list.__setitem__(holder, slice(None), before)  # not through a subclass, which may track
    else:
        holder.clear()
        holder.extend(before)


def _restore_set(holder: set[Any], before: list[Any]) -> None:
    set.intersection_update(holder, before)
    set.update(holder, before)


def _restore_cell(cell: types.CellType, before: Any) -> None:
    if contents(cell) is before:
        return
    if before is NOTHING:
        del cell.cell_contents
    else:
        cell.cell_contents = before


def _restore_class(cls: type, before: dict[str, Any]) -> None:
    now = {name: value for name, value in vars(cls).items() if not name.startswith("__")}
    for name in now.keys() - before.keys():
        type.__delattr__(cls, name)
    for name, value in before.items():
        if now.get(name, NOTHING) is not value:
            type.__setattr__(cls, name, value)


def _restore_attribute(holder: Any, name: str, before: Any) -> None:
    if getattr(holder, name, NOTHING) is before:
        return
    if before is NOTHING:
        object.__delattr__(holder, name)
    else:
        object.__setattr__(holder, name, before)

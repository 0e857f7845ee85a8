"""Which Python values a function reads besides its arguments, as far as its bytecode shows.

Attributes of its object, variables of enclosing functions, globals, and elements of lists and dictionaries under a
constant key; in the functions and methods that it names, and in those that Keras calls for the objects that it names.
Nothing is run to find them: properties are looked into, and not asked.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping
from typing import Any

import keras

from unikeras._keras.saving import KerasSaveable
from unikeras.functions._bytecode import Scan
from unikeras.functions._call_arguments import is_plain
from unikeras.functions._inspection import NOTHING, contents, is_library, is_users_function, on_class, unwrap
from unikeras.functions._places import Contents, Place

_LARGEST = 64  # lists and dictionaries of more elements stand for themselves
_MOST = 20_000  # objects to look into; a program that reaches more is not a step

# What Keras calls of an object by itself.
_CALLED_BY_KERAS = (
    "__call__",
    "call",
    "compute_loss",
    "compute_mask",
    "compute_metrics",
    "update_state",
    "result",
    "update_step",
)

_NO_ARGUMENTS: Mapping[str, Any] = types.MappingProxyType({})


class Reads:
    """What a function reads, and where it stores.

    Attributes:
        places: what it reads, each place once.
        stores: "file:line" by the name of the attribute, variable or element that a line stores to.

    Args:
        f: the function.
        arguments: objects that it is called with, by the names of its parameters.
    """

    def __init__(self, f: Callable[..., Any], arguments: Mapping[str, Any] = _NO_ARGUMENTS) -> None:
        self.places: dict[tuple[int, Any], Place] = {}
        self.stores: dict[str, str] = {}
        # By identity, with the objects, so that no other one gets their number.
        self._seen: dict[Any, Any] = {}
        self._arguments = arguments
        self.follow(f, root=True)
        for argument in arguments.values():
            self.look_into(argument)
        self._seen.clear()

    def add(self, place: Place) -> Any:
        """Note a place that is read, and look into what it holds; return that."""
        value = place.read()
        if isinstance(value, types.ModuleType | types.BuiltinFunctionType | type) or is_library(value):
            return value  # these do not change
        self.places.setdefault(place.identity, place)
        self.look_into(value)
        return value

    def add_contents(self, place: Place, container: Any) -> None:
        """Note that a function reads all of a container."""
        if len(container) <= _LARGEST:
            all_of_it = Contents(place.name, place.of, container)
            self.places.setdefault(all_of_it.identity, all_of_it)

    def follow(self, f: Any, bound: Any = NOTHING, root: bool = False) -> None:
        """Look through a callable: a function, a method, or what wraps one."""
        if isinstance(f, types.MethodType):
            self.follow(f.__func__, f.__self__, root)
        elif isinstance(f, staticmethod):
            self.follow(f.__func__)
        elif isinstance(f, classmethod):
            self.follow(f.__func__, type(bound) if bound is not NOTHING else NOTHING)
        elif isinstance(f, functools.partial):
            for part in (f.func, *f.args, *f.keywords.values()):
                self.look_into(part)
        elif isinstance(f, types.FunctionType):
            self._function(f, bound, root)
        elif (inner := unwrap(f)) is not NOTHING:
            self.follow(inner, bound, root)
        else:
            self._object(f)

    def look_into(self, value: Any) -> None:
        """Look through the code that a value brings along."""
        if isinstance(value, types.FunctionType | types.MethodType | functools.partial):
            self.follow(value)
        elif isinstance(value, list | tuple | dict) and len(value) <= _LARGEST:
            if self._is_new(value):
                for element in value.values() if isinstance(value, dict) else value:
                    self.look_into(element)
        elif not isinstance(value, type | types.ModuleType | keras.Variable) and not is_plain(value):
            self._object(value)

    def _is_new(self, value: Any, *more: Any) -> bool:
        key = (id(value), *map(id, more))
        if key in self._seen or len(self._seen) > _MOST:
            return False
        self._seen[key] = value, more
        return True

    def _function(self, f: types.FunctionType, bound: Any, root: bool) -> None:
        cells = f.__closure__ or ()
        if not self._is_new(f.__code__, bound, *cells):
            return
        if "__wrapped__" in vars(f):
            self.follow(vars(f)["__wrapped__"], bound)
        if not root and is_library(f):
            for cell in cells:  # the function that a library's wrapper was made for
                if isinstance(content := contents(cell), types.FunctionType | types.MethodType):
                    self.follow(content)
            return
        known: dict[str, tuple[Any, Place | None]] = {}
        if bound is not NOTHING and f.__code__.co_argcount:
            known[f.__code__.co_varnames[0]] = bound, None
        if root:
            known |= {name: (value, None) for name, value in self._arguments.items()}
        named = dict(zip(f.__code__.co_freevars, cells, strict=True))
        Scan(self, f.__code__, f.__globals__, named, known, f.__qualname__).run()

    def _object(self, value: Any) -> None:
        """Look through the methods of an object that are called without being named, and through its parts."""
        if not self._is_new(value):
            return
        if (inner := unwrap(value)) is not NOTHING:
            self.follow(inner)
        for name in _CALLED_BY_KERAS if isinstance(value, KerasSaveable) else ("__call__",):
            _, method = on_class(type(value), name)
            if is_users_function(method) or unwrap(method) is not NOTHING:
                self.follow(method, value)
        if isinstance(value, KerasSaveable):
            for part in list(vars(value).values()):
                if isinstance(part, _PARTS) or is_users_function(part):
                    self.look_into(part)


# Layers, losses, metrics and optimizers, and the lists and dictionaries that Keras keeps them in.
_PARTS = (KerasSaveable, keras.optimizers.schedules.LearningRateSchedule, list, dict)

"""Which Python values a function reads besides its arguments, as far as its bytecode shows.

Attributes of its object, variables of enclosing functions, globals, and elements of lists and dictionaries under a
constant key; in the functions and methods that it names, and in those that Keras calls for the objects that it names.
Nothing is run to find them: properties are looked into, and not asked.
"""

from __future__ import annotations

import dis
import functools
import sys
import types
from collections.abc import Callable
from typing import Any

import keras
from keras.src.saving.keras_saveable import KerasSaveable

from unikeras.backends import _registry
from unikeras.training._places import Cell, ClassEntry, Contents, Entry, Index, Place, Slot

_NOTHING: Any = object()  # what the bytecode does not tell
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
# The methods that change a list or a dictionary: what they are called on is output, not input.
_CHANGERS = frozenset(
    ["append", "extend", "insert", "update", "setdefault", "add", "pop", "remove", "discard", "clear"]
)
# Functions of these packages read no values of the user's that could change, unikeras' own default steps aside.
_LIBRARIES = frozenset(["keras", "numpy", "optree", "unikeras", "ml_dtypes", *_registry.names()])
_STEPS = ("unikeras.training._default_steps", "unikeras.training._steps")


class Reads:
    """What a function reads, and where it stores.

    Attributes:
        places: what it reads, each place once.
        stores: "file:line" by the name of the attribute, variable or element that a line stores to.

    Args:
        f: the function.
    """

    def __init__(self, f: Callable[..., Any]) -> None:
        self.places: dict[tuple[int, Any], Place] = {}
        self.stores: dict[str, str] = {}
        self._seen: dict[
            Any, Any
        ] = {}  # by identity, with the objects, so that no other one gets their number
        self.follow(f, root=True)
        self._seen.clear()

    def add(self, place: Place) -> Any:
        """Note a place that is read, and look into what it holds; return that."""
        value = place.read()
        if isinstance(value, types.ModuleType | types.BuiltinFunctionType | type) or _is_library(value):
            return value  # these do not change
        self.places.setdefault(place.identity, place)
        self.look_into(value)
        return value

    def add_contents(self, place: Place, container: Any) -> None:
        """Note that a function reads all of a container."""
        if len(container) <= _LARGEST:
            contents = Contents(place.name, place.of, container)
            self.places.setdefault(contents.identity, contents)

    def follow(self, f: Any, bound: Any = _NOTHING, root: bool = False) -> None:
        """Look through a callable: a function, a method, or what wraps one."""
        if isinstance(f, types.MethodType):
            self.follow(f.__func__, f.__self__, root)
        elif isinstance(f, staticmethod):
            self.follow(f.__func__)
        elif isinstance(f, classmethod):
            self.follow(f.__func__, type(bound) if bound is not _NOTHING else _NOTHING)
        elif isinstance(f, functools.partial):
            for part in (f.func, *f.args, *f.keywords.values()):
                self.look_into(part)
        elif isinstance(f, types.FunctionType):
            self._function(f, bound, root)
        elif (inner := _wrapped(f)) is not _NOTHING:
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
        elif not isinstance(value, type | types.ModuleType | keras.Variable) and not _is_plain(value):
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
        if not root and _is_library(f):
            for cell in cells:  # the function that a library's wrapper was made for
                if isinstance(content := _contents(cell), types.FunctionType | types.MethodType):
                    self.follow(content)
            return
        known: dict[str, tuple[Any, Place | None]] = {}
        if bound is not _NOTHING and f.__code__.co_argcount:
            known[f.__code__.co_varnames[0]] = bound, None
        named = dict(zip(f.__code__.co_freevars, cells, strict=True))
        _Scan(self, f.__code__, f.__globals__, named, known, f.__qualname__).run()

    def _object(self, value: Any) -> None:
        """Look through the methods of an object that are called without being named, and through its parts."""
        if not self._is_new(value):
            return
        if (inner := _wrapped(value)) is not _NOTHING:
            self.follow(inner)
        for name in _CALLED_BY_KERAS if isinstance(value, KerasSaveable) else ("__call__",):
            _, method = _on_class(type(value), name)
            if _is_users_function(method) or _wrapped(method) is not _NOTHING:
                self.follow(method, value)
        if isinstance(value, KerasSaveable):
            for part in list(vars(value).values()):
                if isinstance(part, _PARTS) or _is_users_function(part):
                    self.look_into(part)


# Layers, losses, metrics and optimizers, and the lists and dictionaries that Keras keeps them in.
_PARTS = (KerasSaveable, keras.optimizers.schedules.LearningRateSchedule, list, dict)


class _Scan:
    """Reads the instructions of one code object in order; `self.net.beta` is three of them.

    Args:
        reads: what is found goes there.
        code: the code object.
        globals_: its globals.
        cells: the variables of enclosing functions, by name.
        known: what its local variables are known to hold, and from which place.
        of: what messages call the function.
    """

    def __init__(
        self,
        reads: Reads,
        code: types.CodeType,
        globals_: dict[str, Any],
        cells: dict[str, Any],
        known: dict[str, tuple[Any, Place | None]],
        of: str,
    ) -> None:
        self._reads = reads
        self._code = code
        self._globals = globals_
        self._cells = cells
        self._known = dict(known)
        self._of = of
        self._value: Any = _NOTHING  # what the last instruction left on the stack
        self._place: Place | None = None  # where that came from
        self._key: Any = _NOTHING  # a constant on top of it
        self._on_line: list[str] = []  # what the line has named so far
        self._line = 0

    def run(self) -> None:
        """Note what the code reads and where it stores."""
        for instruction in dis.get_instructions(self._code):
            name, argument = instruction.opname, instruction.argval
            line = instruction.positions.lineno if instruction.positions else None
            if line and line != self._line:
                self._line, self._on_line = line, []
            if name not in _PASSED_BY:
                self._take(name, argument, instruction.argrepr)
        self._settle()

    def _take(self, name: str, argument: Any, shown: str) -> None:
        if name.startswith(("LOAD_CONST", "LOAD_SMALL_INT")):
            if isinstance(argument, types.CodeType):
                self._nested(argument)
            self._key = argument
        elif name == "BINARY_SUBSCR" or (name == "BINARY_OP" and shown == "[]"):
            self._subscript()
        elif name in ("LOAD_ATTR", "LOAD_METHOD"):
            self._attribute(argument)
        elif name == "LOAD_SUPER_ATTR":
            self._of_super(argument)
        elif name in ("PRECALL", "CALL") and self._value is super:
            pass  # `super()`: the next instruction names the method
        elif name.startswith("STORE_"):
            self._store(name, argument)
        elif name.startswith("LOAD_"):
            self._settle()
            self._load(name, argument)
        else:
            self._settle()
            self._set(_NOTHING)

    def _set(self, value: Any, place: Place | None = None) -> None:
        self._value, self._place, self._key = value, place, _NOTHING

    def _settle(self) -> None:
        """Note that all of a container is read, where no single element of it was asked for."""
        if self._place is not None and isinstance(self._value, list | dict | set):
            self._reads.add_contents(self._place, self._value)

    def _read(self, place: Place) -> None:
        self._on_line.append(place.name)
        self._set(self._reads.add(place), place)

    def _load(self, name: str, argument: Any) -> None:
        variable = argument[-1] if isinstance(argument, tuple) else argument
        if not isinstance(variable, str):
            self._set(_NOTHING)
        elif name in ("LOAD_GLOBAL", "LOAD_NAME"):
            if variable in self._globals:
                where = f"a global of {self._globals.get('__name__')}"
                self._read(Entry(variable, where, self._globals, variable))
            else:
                self._set(super if variable == "super" else _NOTHING)
        elif variable in self._known:
            self._set(*self._known[variable])
        elif variable in self._cells:
            self._read(Cell(variable, f"a variable around {self._of}", self._cells[variable]))
        else:
            self._set(_NOTHING)

    def _store(self, name: str, argument: Any) -> None:
        if name == "STORE_SUBSCR":
            stored = [*self._on_line]
            if self._place is not None and self._key is not _NOTHING:
                stored.append(_element(self._place, self._key))
            for target in stored:
                self._note(target)
        elif name in ("STORE_ATTR", "STORE_DEREF", "STORE_GLOBAL", "STORE_NAME"):
            self._note(argument)
        if isinstance(argument, str) and name in ("STORE_FAST", "STORE_DEREF"):
            self._known.pop(argument, None)
            if self._value is not _NOTHING and self._key is _NOTHING and argument not in self._cells:
                self._known[argument] = self._value, self._place
        self._set(_NOTHING)

    def _note(self, target: str) -> None:
        self._reads.stores.setdefault(target, f"{self._code.co_filename}:{self._line}")

    def _subscript(self) -> None:
        container, place, key = self._value, self._place, self._key
        if place is None or key is _NOTHING:
            self._settle()
            self._set(_NOTHING)
        elif isinstance(container, dict):
            self._read(Entry(_element(place, key), place.of, container, key))
        elif isinstance(container, list) and isinstance(key, int):
            self._read(Index(_element(place, key), place.of, container, key))
        elif (
            isinstance(container, tuple) and isinstance(key, int) and -len(container) <= key < len(container)
        ):
            self._set(container[key])
        else:
            self._set(_NOTHING)

    def _attribute(self, name: str) -> None:
        owner = self._value
        if isinstance(owner, list | dict | set) and name in _CHANGERS:
            self._set(_NOTHING)
            return
        self._settle()
        if owner is _NOTHING or self._key is not _NOTHING:
            self._set(_NOTHING)
        elif owner is super:
            self._of_super(name)
        elif isinstance(owner, types.ModuleType):
            if name in vars(owner) and not is_library_name(owner.__name__):
                self._read(Entry(name, f"a global of {owner.__name__}", vars(owner), name))
            else:
                self._set(_NOTHING)
        else:
            self._of_object(owner, name)

    def _of_object(self, owner: Any, name: str) -> None:
        self._set(_NOTHING)
        is_class = isinstance(owner, type)
        cls = owner if is_class else type(owner)
        of = f"an attribute of {cls.__name__}"
        base, found = _on_class(cls, name)
        own = _NOTHING if is_class else _own_attributes(owner)
        if isinstance(found, types.MemberDescriptorType) and not is_class:
            self._read(Slot(name, of, owner, found))
        elif isinstance(found, property):
            self._reads.follow(found.fget, owner)
        elif own is not _NOTHING and name in own:
            self._read(Entry(name, of, own, name))
        elif base is None:
            self._of_instance(owner, own, name, of)
        elif isinstance(found, _METHODS) or _wrapped(found) is not _NOTHING:
            if not _is_library(found):
                self._reads.follow(found, _NOTHING if is_class else owner)
        elif not hasattr(type(found), "__get__") and not is_library_name(base.__module__):
            if own is not _NOTHING:
                self._read(Entry(name, of, own, name, found))  # an instance may get one of its own
            self._read(ClassEntry(name, of, base, name))

    def _of_instance(self, owner: Any, own: Any, name: str, of: str) -> None:
        """Note an attribute that is nowhere yet."""
        part = getattr(owner, name, None) if isinstance(owner, keras.Layer) else None
        if isinstance(part, keras.Layer):
            # A framework's modules may keep their parts elsewhere than among their attributes.
            self._set(part)
        elif own is not _NOTHING:
            self._read(Entry(name, of, own, name))

    def _of_super(self, name: str) -> None:
        after = _contents(self._cells["__class__"]) if "__class__" in self._cells else _NOTHING
        owner, _ = self._known.get(next(iter(self._code.co_varnames), ""), (_NOTHING, None))
        self._set(_NOTHING)
        if not isinstance(after, type) or owner is _NOTHING:
            return
        mro = (owner if isinstance(owner, type) else type(owner)).__mro__
        for base in mro[mro.index(after) + 1 :] if after in mro else ():
            if name in vars(base):
                self._reads.follow(vars(base)[name], owner)
                return

    def _nested(self, code: types.CodeType) -> None:
        """Scan a function that is made inside this one, and sees its variables."""
        cells = {name: self._cells[name] for name in code.co_freevars if name in self._cells}
        known = {name: self._known[name] for name in code.co_freevars if name in self._known}
        _Scan(self._reads, code, self._globals, cells, known, self._of).run()


# Instructions after which the same value is on top of the stack, or that lie between the parts of `a.b`.
_PASSED_BY = frozenset(
    ["CACHE", "EXTENDED_ARG", "NOP", "RESUME", "COPY", "PUSH_NULL", "COPY_FREE_VARS", "MAKE_CELL"]
)


_METHODS = (types.FunctionType, staticmethod, classmethod)


def _element(place: Place, key: Any) -> str:
    return f"{place.name}[{key!r}]"


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _NOTHING


def _on_class(cls: type, name: str) -> tuple[type | None, Any]:
    """Return the class that defines an attribute, and what it holds: a descriptor is not asked."""
    base = next((base for base in cls.__mro__ if name in vars(base)), None)
    return base, _NOTHING if base is None else vars(base)[name]


def _wrapped(value: Any) -> Any:
    """Return the function that a wrapper, such as a uk.function, was made for."""
    own = _own_attributes(value)
    return _NOTHING if own is _NOTHING else own.get("__wrapped__", _NOTHING)


def _own_attributes(value: Any) -> Any:
    try:
        own = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return _NOTHING
    return own if isinstance(own, dict) else _NOTHING


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | complex | str | bytes | tuple)


def _is_users_function(value: Any) -> bool:
    return isinstance(value, types.FunctionType | types.MethodType) and not _is_library(value)


def _is_library(value: Any) -> bool:
    """Say whether a function is one of Python's, of a framework's or of unikeras' own."""
    if not isinstance(value, types.FunctionType | types.MethodType):
        return False
    return is_library_name(str(getattr(value, "__module__", "")))


def is_library_name(module: str) -> bool:
    """Say whether a module belongs to Python, to a framework or to unikeras, its default steps aside."""
    if module in _STEPS:
        return False
    package = module.partition(".")[0]
    return package in _LIBRARIES or package in sys.stdlib_module_names

"""Reads the bytecode of one function: which attributes, variables and elements it loads, and which it stores to."""

from __future__ import annotations

import dis
import types
from typing import Any, Protocol

import keras

from unikeras.functions._inspection import (
    NOTHING,
    contents,
    is_library,
    is_library_name,
    on_class,
    own_attributes,
    unwrap,
)
from unikeras.functions._places import Cell, ClassEntry, Entry, Index, Place, Slot

# The methods that change a list or a dictionary: what they are called on is output, not input.
_CHANGERS = frozenset(
    ["append", "extend", "insert", "update", "setdefault", "add", "pop", "remove", "discard", "clear"]
)
# Instructions after which the same value is on top of the stack, or that lie between the parts of `a.b`.
_PASSED_BY = frozenset(
    ["CACHE", "EXTENDED_ARG", "NOP", "RESUME", "COPY", "PUSH_NULL", "COPY_FREE_VARS", "MAKE_CELL"]
)
_METHODS = (types.FunctionType, staticmethod, classmethod)


class Findings(Protocol):
    """Where a scan puts what it finds.

    Attributes:
        stores: "file:line" by the name of the attribute, variable or element that a line stores to.
    """

    stores: dict[str, str]

    def add(self, place: Place) -> Any:
        """Note a place that is read, and return what it holds."""

    def add_contents(self, place: Place, container: Any) -> None:
        """Note that all of a container is read."""

    def follow(self, f: Any, bound: Any = NOTHING) -> None:
        """Look through a callable that is named, bound to an object or not."""


class Scan:
    """Reads the instructions of one code object in order; `self.net.beta` is three of them.

    Args:
        findings: what is found goes there.
        code: the code object.
        globals_: its globals.
        cells: the variables of enclosing functions, by name.
        known: what its local variables are known to hold, and from which place.
        of: what messages call the function.
    """

    def __init__(
        self,
        findings: Findings,
        code: types.CodeType,
        globals_: dict[str, Any],
        cells: dict[str, Any],
        known: dict[str, tuple[Any, Place | None]],
        of: str,
    ) -> None:
        self._findings = findings
        self._code = code
        self._globals = globals_
        self._cells = cells
        self._known = dict(known)
        self._of = of
        self._value: Any = NOTHING  # what the last instruction left on the stack
        self._place: Place | None = None  # where that came from
        self._key: Any = NOTHING  # a constant on top of it
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
                self._scan_inner(argument)
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
            self._set(NOTHING)

    def _set(self, value: Any, place: Place | None = None) -> None:
        self._value, self._place, self._key = value, place, NOTHING

    def _settle(self) -> None:
        """Note that all of a container is read, where no single element of it was asked for."""
        if self._place is not None and isinstance(self._value, list | dict | set):
            self._findings.add_contents(self._place, self._value)

    def _read(self, place: Place) -> None:
        self._on_line.append(place.name)
        self._set(self._findings.add(place), place)

    def _load(self, name: str, argument: Any) -> None:
        variable = argument[-1] if isinstance(argument, tuple) else argument
        if not isinstance(variable, str):
            self._set(NOTHING)
        elif name in ("LOAD_GLOBAL", "LOAD_NAME"):
            if variable in self._globals:
                where = f"a global of {self._globals.get('__name__')}"
                self._read(Entry(variable, where, self._globals, variable))
            else:
                self._set(super if variable == "super" else NOTHING)
        elif variable in self._known:
            self._set(*self._known[variable])
        elif variable in self._cells:
            self._read(Cell(variable, f"a variable around {self._of}", self._cells[variable]))
        else:
            self._set(NOTHING)

    def _store(self, name: str, argument: Any) -> None:
        if name == "STORE_SUBSCR":
            stored = [*self._on_line]
            if self._place is not None and self._key is not NOTHING:
                stored.append(_element(self._place, self._key))
            for target in stored:
                self._note(target)
        elif name in ("STORE_ATTR", "STORE_DEREF", "STORE_GLOBAL", "STORE_NAME"):
            self._note(argument)
        if isinstance(argument, str) and name in ("STORE_FAST", "STORE_DEREF"):
            self._known.pop(argument, None)
            if self._value is not NOTHING and self._key is NOTHING and argument not in self._cells:
                self._known[argument] = self._value, self._place
        self._set(NOTHING)

    def _note(self, target: str) -> None:
        self._findings.stores.setdefault(target, f"{self._code.co_filename}:{self._line}")

    def _subscript(self) -> None:
        container, place, key = self._value, self._place, self._key
        if place is None or key is NOTHING:
            self._settle()
            self._set(NOTHING)
        elif isinstance(container, dict):
            self._read(Entry(_element(place, key), place.of, container, key))
        elif isinstance(container, list) and isinstance(key, int):
            self._read(Index(_element(place, key), place.of, container, key))
        elif (
            isinstance(container, tuple) and isinstance(key, int) and -len(container) <= key < len(container)
        ):
            self._set(container[key])
        else:
            self._set(NOTHING)

    def _attribute(self, name: str) -> None:
        owner = self._value
        if isinstance(owner, list | dict | set) and name in _CHANGERS:
            self._set(NOTHING)
            return
        self._settle()
        if owner is NOTHING or self._key is not NOTHING:
            self._set(NOTHING)
        elif owner is super:
            self._of_super(name)
        elif isinstance(owner, types.ModuleType):
            if name in vars(owner) and not is_library_name(owner.__name__):
                self._read(Entry(name, f"a global of {owner.__name__}", vars(owner), name))
            else:
                self._set(NOTHING)
        else:
            self._of_object(owner, name)

    def _of_object(self, owner: Any, name: str) -> None:
        self._set(NOTHING)
        is_class = isinstance(owner, type)
        cls = owner if is_class else type(owner)
        of = f"an attribute of {cls.__name__}"
        base, found = on_class(cls, name)
        own = NOTHING if is_class else own_attributes(owner)
        if isinstance(found, types.MemberDescriptorType) and not is_class:
            self._read(Slot(name, of, owner, found))
        elif isinstance(found, property):
            self._findings.follow(found.fget, owner)
        elif own is not NOTHING and name in own:
            self._read(Entry(name, of, own, name))
        elif base is None:
            self._of_instance(owner, own, name, of)
        elif isinstance(found, _METHODS) or unwrap(found) is not NOTHING:
            if not is_library(found):
                self._findings.follow(found, NOTHING if is_class else owner)
        elif not hasattr(type(found), "__get__") and not is_library_name(base.__module__):
            if own is not NOTHING:
                self._read(Entry(name, of, own, name, found))  # an instance may get one of its own
            self._read(ClassEntry(name, of, base, name))

    def _of_instance(self, owner: Any, own: Any, name: str, of: str) -> None:
        """Note an attribute that is nowhere yet."""
        part = getattr(owner, name, None) if isinstance(owner, keras.Layer) else None
        if isinstance(part, keras.Layer):
            # A framework's modules may keep their parts elsewhere than among their attributes.
            self._set(part)
        elif own is not NOTHING:
            self._read(Entry(name, of, own, name))

    def _of_super(self, name: str) -> None:
        after = contents(self._cells["__class__"]) if "__class__" in self._cells else NOTHING
        owner, _ = self._known.get(next(iter(self._code.co_varnames), ""), (NOTHING, None))
        self._set(NOTHING)
        if not isinstance(after, type) or owner is NOTHING:
            return
        mro = (owner if isinstance(owner, type) else type(owner)).__mro__
        for base in mro[mro.index(after) + 1 :] if after in mro else ():
            if name in vars(base):
                self._findings.follow(vars(base)[name], owner)
                return

    def _scan_inner(self, code: types.CodeType) -> None:
        """Scan a function that is made inside this one, and sees its variables."""
        cells = {name: self._cells[name] for name in code.co_freevars if name in self._cells}
        known = {name: self._known[name] for name in code.co_freevars if name in self._known}
        Scan(self._findings, code, self._globals, cells, known, self._of).run()


def _element(place: Place, key: Any) -> str:
    return f"{place.name}[{key!r}]"

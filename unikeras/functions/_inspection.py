"""What objects hold, and whose code a function is, without running any code of theirs."""

from __future__ import annotations

import sys
import types
from typing import Any

from unikeras import backends

NOTHING: Any = object()  # what the bytecode, or an object, does not tell
# Functions of these packages read no values of the user's that could change, unikeras' own default steps aside.
_LIBRARIES = frozenset(["keras", "numpy", "optree", "unikeras", "ml_dtypes", *backends.names()])
_STEPS = ("unikeras.training._default_steps", "unikeras.training._compiled_steps")


def contents(cell: Any) -> Any:
    """Return what a closure's cell holds."""
    try:
        return cell.cell_contents
    except ValueError:
        return NOTHING


def on_class(cls: type, name: str) -> tuple[type | None, Any]:
    """Return the class that defines an attribute, and what it holds: a descriptor is not asked."""
    base = next((base for base in cls.__mro__ if name in vars(base)), None)
    return base, NOTHING if base is None else vars(base)[name]


def unwrap(value: Any) -> Any:
    """Return the function that a wrapper, such as a uk.function, was made for."""
    own = own_attributes(value)
    return NOTHING if own is NOTHING else own.get("__wrapped__", NOTHING)


def own_attributes(value: Any) -> Any:
    """Return an object's `__dict__`, whatever its class says of it."""
    try:
        own = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return NOTHING
    return own if isinstance(own, dict) else NOTHING


def is_users_function(value: Any) -> bool:
    """Say whether a value is a function or a method, and of the user's."""
    return isinstance(value, types.FunctionType | types.MethodType) and not is_library(value)


def is_library(value: Any) -> bool:
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

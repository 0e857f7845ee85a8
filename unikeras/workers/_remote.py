"""Errors that cross from a worker to its owner."""

from __future__ import annotations

import contextlib
import inspect
import pickle
import traceback
from typing import Any

from unikeras.errors import ArgumentError, RemoteError
from unikeras.workers import _travel

RETURNED, RAISED = b"returned", b"raised"


def pack_error(error: BaseException) -> bytes:
    """Pack an error so that at least its text arrives, and the object where it can."""
    if error.__traceback__ is not None:
        error.__traceback__ = error.__traceback__.tb_next  # the worker's own frame tells nobody anything
    text = "".join(traceback.format_exception(error)).rstrip()
    brief = "".join(traceback.format_exception_only(error)).strip()
    parts = (type(error), error, (error.args, vars(error)))
    return pickle.dumps((_kind_name(type(error)), brief, text, *map(_try_pack, parts)))


def error_from(packed: bytes, where: str) -> RemoteError:
    """Return the error to raise here for one that was packed there.

    Args:
        packed: from `pack_error`.
        where: which function on which worker, as the subject of the message.
    """
    name, brief, text, *parts = pickle.loads(packed)
    kind, cause, state = map(_try_unpack, parts)
    cause = cause or _remade(kind, state)
    return _revive(f"{where} raised {brief}\n\n{text}", name, text, kind, cause)


def _remade(
    kind: type[BaseException] | None, state: tuple[tuple[Any, ...], dict[str, Any]] | None
) -> BaseException | None:
    """Make an exception without its `__init__`, which may ask for more than it passes on to `args`."""
    if kind is None or state is None:
        return None
    arguments, attributes = state
    try:
        error = kind.__new__(kind, *arguments)
    except Exception:  # a class may raise anything when it is made
        return None
    vars(error).update(attributes)
    return error


def _revive(
    message: str,
    name: str,
    text: str,
    kind: type[BaseException] | None,
    cause: BaseException | None,
) -> RemoteError:
    try:
        error = _join(kind)(message, name, text)
    except Exception:  # some classes refuse to be made with other arguments than their own
        error = RemoteError(message, name, text)
    if cause is not None:
        _adopt_attributes(error, cause)
        error.__cause__ = cause
    return error


def _join(kind: type[BaseException] | None) -> type[RemoteError]:
    """Return a class that is both `RemoteError` and the original one, as far as Python allows."""
    if kind is None or not issubclass(kind, Exception):
        return RemoteError
    if issubclass(kind, RemoteError):
        return kind
    # The original's own ways to print and to pickle expect the arguments that it was made with.
    members = {"__str__": _message, "__reduce__": _reduce, "__module__": __name__, "_kind": kind}
    try:
        return type(f"RemoteError({kind.__name__})", (RemoteError, kind), members)
    except TypeError:  # two layouts in C that do not join
        return RemoteError


def _message(error: RemoteError) -> str:
    return str(error.args[0])


def _reduce(error: Any) -> Any:
    arguments = (_message(error), error.remote_type, error.remote_traceback, error._kind, error.__cause__)
    return _revive, arguments


def _adopt_attributes(error: RemoteError, cause: BaseException) -> None:
    """Copy the original's attributes, those in C such as `errno` too."""
    for name, value in getattr(cause, "__dict__", {}).items():
        error.__dict__.setdefault(name, value)
    for kind in type(cause).__mro__:
        for name, member in vars(kind).items():
            if inspect.ismemberdescriptor(member) and not name.startswith("__"):
                with contextlib.suppress(AttributeError, TypeError):
                    setattr(error, name, getattr(cause, name))


def _kind_name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _try_pack(value: Any) -> bytes | None:
    try:
        return bytes(_travel.pack(value, "the error"))
    except ArgumentError:
        return None


def _try_unpack(packed: bytes | None) -> Any:
    if packed is None:
        return None
    try:
        return _travel.unpack(packed, "the error")
    except ArgumentError:  # its text is here already
        return None

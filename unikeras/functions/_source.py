"""Where in the user's source something happens, for messages."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

_CHANGERS = {
    "append",
    "extend",
    "insert",
    "update",
    "setdefault",
    "add",
    "pop",
    "remove",
    "clear",
    "__setitem__",
}


def name(f: Callable[..., Any]) -> str:
    """Return what a reader calls a function."""
    return str(getattr(f, "__qualname__", repr(f)))


def line_of_store(f: Callable[..., Any], target: str, owner: Any) -> str:
    """Return "file:line" of the first line that stores to a name or an attribute.

    Args:
        f: the function that ran.
        target: the name of the variable, attribute or list.
        owner: the object whose methods may hold the line, or None.
    """
    methods = [] if owner is None else [m for _, m in inspect.getmembers(type(owner), inspect.isfunction)]
    functions: list[Callable[..., Any]] = [f, *methods]
    for function in functions:
        if not str(getattr(function, "__module__", "")).startswith("keras."):
            for line in _stores(function, target):
                return f"{inspect.getsourcefile(function)}:{line}"
    return first_line(f)


def first_line(f: Callable[..., Any]) -> str:
    """Return "file:line" of a function's beginning."""
    code = getattr(f, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else "an unknown line"


def _stores(function: Callable[..., Any], target: str) -> Iterator[int]:
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return
    for node in ast.walk(tree):
        if _is_store(node, target):
            yield first + node.lineno - 1  # type: ignore[attr-defined]


def _is_store(node: ast.AST, target: str) -> bool:
    if isinstance(node, ast.Name | ast.Attribute):
        return isinstance(node.ctx, ast.Store) and _name_of(node) == target
    if isinstance(node, ast.Subscript):
        return isinstance(node.ctx, ast.Store) and _name_of(node.value) == target
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in _CHANGERS and _name_of(node.func.value) == target
    return False


def _name_of(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None

"""What a docstring lacks: compares its sections with a signature and, where there is source, with a body."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any


def lacking(obj: Any, *, example: bool = False, parameters: bool = True) -> list[str]:
    """Return what the docstring of a function, a property or a class lacks.

    Args:
        obj: the function, the property or the class.
        example: whether it must have an example.
        parameters: whether every parameter must be described.
    """
    text = inspect.getdoc(obj) or ""
    first = text.partition("\n\n")[0].rstrip()
    missing = [] if first.endswith(".") else ["a first sentence"]
    if example and ">>> " not in text:
        missing.append("an example")
    if isinstance(obj, property):
        return missing
    if parameters:
        missing += [f"Args: {name}" for name in _parameters(obj) if not _describes(text, name)]
    if inspect.isfunction(inspect.unwrap(obj)):
        missing += [section for section in _sections_needed(obj) if section not in text]
    return missing


def _parameters(obj: Any) -> Iterator[str]:
    try:
        yield from (name for name in inspect.signature(obj).parameters if name not in ("self", "cls"))
    except (TypeError, ValueError):  # a class of a built-in's kind
        return


def _describes(text: str, name: str) -> bool:
    others = r"(?:\w+, )*"  # arguments that mean the same share a line
    return re.search(rf"^\s*{others}\*{{0,2}}{name}(?:, \w+)*:", text, re.MULTILINE) is not None


def _sections_needed(f: Any) -> Iterator[str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(f)))).body[0]
    nodes = list(_own_nodes(tree))
    if any(isinstance(node, ast.Return) and not _is_none(node.value) for node in nodes):
        yield "Returns:"
    if any(isinstance(node, ast.Raise) and node.exc is not None for node in nodes):
        yield "Raises:"
    is_context = any("contextmanager" in ast.unparse(one) for one in tree.decorator_list)
    if not is_context and any(isinstance(node, ast.Yield | ast.YieldFrom) for node in nodes):
        yield "Yields:"


def _own_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a body, without those of functions and classes inside it."""
    for child in ast.iter_child_nodes(tree):
        if not isinstance(child, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            yield child
            yield from _own_nodes(child)


def _is_none(value: ast.expr | None) -> bool:
    return value is None or (isinstance(value, ast.Constant) and value.value is None)


def public_members(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield (name, function or property) of what a class itself defines in public."""
    for name, value in vars(cls).items():
        if not name.startswith("_"):
            if isinstance(value, property):
                yield name, value
            elif inspect.isfunction(inner := getattr(value, "__func__", value)):
                yield name, inner

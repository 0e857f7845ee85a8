"""Which private names of Keras and of the frameworks the package uses, found in its source."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_ROOTS = ("keras", "tensorflow", "torch", "jax")
_PRIVATE = re.compile(r"^(keras\.src|tensorflow\.python)\b|\._(?!_)")
_PYTHON = {"_exit", "_getframe", "_current_frames", "_fields"}  # os, sys, namedtuple


def used(package: Path) -> dict[str, set[str]]:
    """Return private names by the files that use them: full ones, or ".name" for an attribute of some object."""
    trees = {path: ast.parse(path.read_text()) for path in sorted(package.rglob("*.py"))}
    own = set().union(*map(_defined, trees.values())) | _PYTHON
    found: dict[str, set[str]] = {}
    for path, tree in trees.items():
        for name in _names(tree, own):
            found.setdefault(name, set()).add(str(path.relative_to(package)))
    return found


def _names(tree: ast.Module, own: set[str]) -> Iterator[str]:
    imported = dict(_imported(tree))
    yield from (name for name in imported.values() if _PRIVATE.search(name))
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (full := _replaced(node, imported)):
            yield full
        if not isinstance(node, ast.Attribute):
            continue
        first, *rest = _chain(node)
        full = ".".join([imported.get(first, ""), *rest])
        if first in imported:
            if id(node) not in inner and _PRIVATE.search(full):
                yield full
        elif re.match(r"_[^_]", node.attr) and node.attr not in own:
            yield f".{node.attr}"


def _replaced(call: ast.Call, imported: dict[str, str]) -> str:
    """Return the private name that a call of `patched` or `held` replaces; "" where it is none."""
    if not isinstance(call.func, ast.Name) or call.func.id not in ("patched", "held"):
        return ""
    first, *rest = _chain(call.args[0])
    full = ".".join([imported.get(first, ""), *rest, ast.literal_eval(call.args[1])])
    return full if _PRIVATE.search(full) else ""


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            pairs = [
                (a.asname or a.name.partition(".")[0], a.name if a.asname else a.name.partition(".")[0])
                for a in node.names
            ]
        elif isinstance(node, ast.ImportFrom) and node.module:
            pairs = [(a.asname or a.name, f"{node.module}.{a.name}") for a in node.names]
        else:
            continue
        yield from (pair for pair in pairs if pair[1].partition(".")[0] in _ROOTS)


def _chain(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Attribute):
        return [*_chain(node.value), node.attr]
    return [node.id if isinstance(node, ast.Name) else ""]


def _defined(tree: ast.Module) -> Iterator[str]:
    """Yield the names of functions, classes and attributes that a file defines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id in ("self", "_local", "_thread"):
                yield node.attr
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            yield from (target.id for target in targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("unikeras"):
            yield from (alias.asname or alias.name for alias in node.names)


def describe(name: str) -> str:
    """Say what a full name stands for now: its kind, and the parameters of what can be called."""
    path, _, last = name.rpartition(".")
    value = inspect.getattr_static(pkgutil.resolve_name(path), last, None) or pkgutil.resolve_name(name)
    return describe_value(value)


def describe_value(value: Any) -> str:
    """Say what a value is: its kind, and the parameters of what can be called."""
    if type(value).__name__ == "LazyModule":
        return "LazyModule"  # whatever it is asked for, it imports its module
    for kind in (dict, list):  # of whichever subclass
        if isinstance(value, kind):
            return kind.__name__
    if isinstance(value, property):
        return "property"
    if inspect.ismodule(value):
        return "module"
    value = getattr(value, "__func__", value)
    kind = "class " if inspect.isclass(value) else ""
    if value is None or isinstance(value, bool):
        return "flag"  # what is unknown before its first use may be None
    return f"{kind}{_parameters(value)}".strip() if callable(value) else type(value).__name__


def _parameters(value: Any) -> str:
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return "" if inspect.isclass(value) else "callable"
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    text = str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))
    return re.sub(r" at 0x[0-9a-f]+", "", text)

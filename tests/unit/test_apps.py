"""The demo and the chat are programs on public names, as a user would write them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import unikeras.apps.chat
import unikeras.apps.demo

FILES = [
    (app, path)
    for app in (unikeras.apps.chat, unikeras.apps.demo)
    for path in sorted(Path(app.__file__).parent.glob("*.py"))
]


def _imported(tree):
    """Return the dotted name of everything that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _private(source, room):
    """Return the private names of the package, outside one of its rooms, that a module uses."""
    tree = ast.parse(source)
    names = [name for name in _imported(tree) if not name.startswith(f"{room}.")]
    names = [name for name in names if name.startswith("unikeras.") and "._" in name]
    used = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _of_package(node)]
    return names + [name for name in used if name.startswith("_")]


def _of_package(node):
    """Return whether an attribute is one of `uk`, at any depth."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name) and node.id == "uk"


@pytest.mark.parametrize(("app", "path"), FILES, ids=[f"{path.parent.name}/{path.name}" for _, path in FILES])
def test_apps_use_public_names(app, path):
    assert _private(path.read_text(), app.__name__) == []


def test_a_private_name_is_found():
    source = "from unikeras._base.files import recover\nfrom unikeras.backends import _registry\nuk._config.current()"
    found = _private(source, "unikeras.apps.demo")
    assert found == ["unikeras._base.files.recover", "unikeras.backends._registry", "_config"]

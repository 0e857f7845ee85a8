"""One difference, one room: what the linter checks for imports is checked here for names."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import unikeras
from unikeras.backends import _registry

PACKAGE = Path(unikeras.__file__).parent
ROOMS = tuple(PACKAGE / room for room in ("backends", "lowering", "export/writers", "export/readers"))
OUTSIDE = [p for p in sorted(PACKAGE.rglob("*.py")) if not any(p.is_relative_to(room) for room in ROOMS)]


def _imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _compared_strings(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            yield from (
                c.value
                for part in [node.left, *node.comparators]
                for c in ast.walk(part)
                if isinstance(c, ast.Constant) and isinstance(c.value, str)
            )
        elif isinstance(node, ast.MatchValue) and isinstance(node.value, ast.Constant):
            yield node.value.value


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_framework_code_stays_in_its_rooms(path):
    tree = ast.parse(path.read_text())
    assert set(_registry.names()).isdisjoint(_imports(tree))
    assert set(_registry.names()).isdisjoint(_compared_strings(tree))


def test_the_checks_above_can_fail():
    tree = ast.parse("import torch.nn\nif name == 'jax' or name in ('torch',): pass")
    assert set(_imports(tree)) == {"torch"}
    assert set(_compared_strings(tree)) == {"jax", "torch"}

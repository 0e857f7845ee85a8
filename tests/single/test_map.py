"""tests/map.toml: each module of the package with the test files that exercise it."""

from __future__ import annotations

import tomllib
from pathlib import Path

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS.parent / "unikeras"

MAP = tomllib.loads((TESTS / "map.toml").read_text())
# Files that `unikeras new` writes are programs of their own.
MODULES = {
    path.relative_to(PACKAGE).as_posix()
    for path in PACKAGE.rglob("*.py")
    if "templates" not in path.relative_to(PACKAGE).parts
}


def test_every_module_is_in_the_map():
    assert not sorted(MODULES - MAP.keys()), "name the tests of these modules in tests/map.toml"


def test_every_module_of_the_map_exists():
    assert not sorted(MAP.keys() - MODULES), "tests/map.toml names modules that were renamed or deleted"


def test_every_test_file_of_the_map_exists():
    files = {path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")}
    assert not {module: missing for module, tests in MAP.items() if (missing := sorted(set(tests) - files))}


def test_every_module_of_the_map_has_tests():
    assert not [module for module, tests in MAP.items() if not tests]

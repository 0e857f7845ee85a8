"""Every example in the docstrings of `unikeras.lowering` runs."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

from unikeras import lowering

ROOM = Path(lowering.__file__).parent
MODULES = [path for path in sorted(ROOM.glob("*.py")) if ">>> " in path.read_text()]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_the_examples_run(path):
    results = doctest.testmod(importlib.import_module(f"unikeras.lowering.{path.stem}"))
    assert results.attempted
    assert not results.failed

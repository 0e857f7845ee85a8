"""Every example in a docstring runs, on the backend that runs here; every public name has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import unikeras as uk

PACKAGE = Path(uk.__file__).parent
# Rooms of one framework import it, and have no examples of their own.
FRAMEWORKS = (
    "backends/tensorflow",
    "backends/torch",
    "backends/jax",
    "export/writers",
    "export/readers",
    "lowering",
)
MODULES = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name != "__main__.py" and not any(path.is_relative_to(PACKAGE / room) for room in FRAMEWORKS)
]
WITH_EXAMPLES = [path for path in MODULES if ">>> " in path.read_text()]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_examples_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dotted = ".".join(["unikeras", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(
        ".__init__"
    )
    results = doctest.testmod(importlib.import_module(dotted), optionflags=doctest.ELLIPSIS)
    assert results.attempted
    assert not results.failed


MODULES_THEMSELVES = ("backends", "errors", "layers", "memory", "testing", "training")
PUBLIC = [(uk, name) for name in uk.__all__ if name not in MODULES_THEMSELVES]
PUBLIC += [(room, name) for room in (uk.layers, uk.memory, uk.testing, uk.training) for name in room.__all__]


@pytest.mark.parametrize(("room", "name"), PUBLIC, ids=[name for _, name in PUBLIC])
def test_public_names_are_documented_in_full(room, name):
    text = inspect.getdoc(getattr(room, name)) or ""
    first, _, rest = text.partition("\n\n")
    assert first.rstrip().endswith(".")
    assert ">>> " in rest
    if len(inspect.signature(getattr(room, name)).parameters):
        assert "Args:" in rest or "Attributes:" in rest


def test_every_error_says_what_it_is_about():
    for name in uk.errors.__all__:
        error = getattr(uk.errors, name)
        assert issubclass(error, uk.errors.UnikerasError)
        assert error.__doc__

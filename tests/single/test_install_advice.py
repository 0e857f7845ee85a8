"""What the package says to install is what pyproject.toml declares, and is on an index by that name."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from unikeras._base import optional as _optional
from unikeras.backends import _registry

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


@pytest.mark.parametrize("extra", _optional.EXTRAS)
def test_the_libraries_of_an_extra_are_those_declared(extra):
    declared = [re.match(r"[\w.-]+", line)[0] for line in EXTRAS[extra]]
    named = _optional.pip_line(*_optional.EXTRAS[extra]).removeprefix("pip install ").split()
    assert sorted(named) == sorted(declared)


@pytest.mark.parametrize("backend", _registry.names())
def test_a_framework_with_an_upper_bound_is_advised_with_its_bounds(backend):
    (declared,) = EXTRAS[backend]
    expected = f'"{declared}"' if "<" in declared else re.match(r"[\w.-]+", declared)[0]
    assert _registry.install_line(backend) == f"pip install {expected}"


@pytest.mark.parametrize("path", sorted(ROOT.glob("unikeras/**/*.py")), ids=lambda path: path.stem)
def test_no_message_asks_an_index_for_this_package(path):
    assert not re.search(r"pip install [^\n]*unikeras", path.read_text())


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))], ids=lambda path: path.stem
)
def test_no_page_asks_an_index_for_this_package(path):
    assert not re.search(r"pip install [^\n]*unikeras", path.read_text())

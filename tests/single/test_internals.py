"""docs/internals.md names what the code has: its rooms in their order, its files, its functions."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from helpers.house import MAY_IMPORT_FRAMEWORKS, ROOMS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "internals.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)(?:::([\w.]+))?`", PAGE)))
WALKS = dict(re.findall(r"^## The life of (.+)\n((?:(?!## ).*\n)+)", PAGE, re.MULTILINE))


@functools.cache
def names_in(path: Path) -> set[str]:
    """Return the functions, classes and methods that a file defines."""
    return set(_definitions(ast.parse(path.read_text()).body))


def _definitions(body: Sequence[ast.stmt], owner: str = "") -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield owner + node.name
        if isinstance(node, ast.ClassDef):
            yield from _definitions(node.body, f"{owner}{node.name}.")


def is_there(path: str, name: str) -> bool:
    """Say whether a file of the package, or a test, exists and defines the name."""
    file = ROOT / path if path.startswith("tests/") else ROOT / "unikeras" / path
    return file.is_file() and (not name or name in names_in(file))


def test_each_name_on_the_page_exists():
    assert not [f"{path}::{name}" for path, name in NAMED if not is_there(path, name)]


def test_no_name_escapes_the_test_above():
    found = re.findall(r"[\w/]+\.py(?:::[\w.]*\w)?", PAGE)
    assert {f"{path}::{name}" if name else path for path, name in NAMED} == set(found)


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [
        ("training/_loop.py", "", True),
        ("training/_loop.py", "Loop.fit", True),
        ("training/_loop.py", "fit", False),
        ("training/_loop.py", "Loop.gone", False),
        ("training/_gone.py", "", False),
    ],
)
def test_a_name_that_is_gone_is_noticed(path, name, expected):
    assert is_there(path, name) == expected


def test_the_table_is_that_of_the_house():
    table = PAGE.partition("## Rooms")[2].partition("\n\n```")[0]
    assert re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.MULTILINE) == list(ROOMS.items())


def test_the_diagram_has_the_rooms_in_their_order():
    (diagram,) = re.findall(r"```mermaid\n(.*?)```", PAGE, re.DOTALL)
    layers = re.findall(r'^ +(\w+)\["(.+)"\]$', diagram, re.MULTILINE)
    assert [room for _, rooms in layers for room in rooms.split(" · ")] == list(ROOMS)
    assert diagram.splitlines()[-1].strip() == " --> ".join(layer for layer, _ in layers)


def test_the_page_says_where_framework_code_stands():
    rules = PAGE.partition("## Rules of the house")[2].partition("\n## ")[0]
    assert {f"`{folder}`" for folder in ("backends/<name>/", *MAY_IMPORT_FRAMEWORKS)} <= set(
        re.findall(r"`[^`]+`", rules)
    )


@pytest.mark.parametrize("walk", ["a batch", "an export", "a session", "a call to another backend"])
def test_each_station_of_a_walk_has_names_and_a_guard(walk):
    stations = re.split(r"^(?=\d+\. )", WALKS[walk], flags=re.MULTILINE)[1:]
    assert [int(station.partition(".")[0]) for station in stations] == list(range(1, len(stations) + 1))
    assert not [station for station in stations if ".py::" not in station or "*Guard" not in station]

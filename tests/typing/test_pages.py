"""Type checkers accept what the documentation shows, and report what is wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

import unikeras

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
WRONG = Path(__file__).parent / "wrong_use.txt"
# keras has no type information: what it returns is of any type, as for every script that imports it.
MYPY = ["--check-untyped-defs", "--follow-imports=silent", "--disable-error-code=import-untyped"]
PYRIGHT = {
    "typeCheckingMode": "standard",
    "useLibraryCodeForTypes": False,
    "reportPossiblyUnboundVariable": "none",  # a loss of a loop is used behind it
}


def script_of(page: Path) -> str:
    """Return a page's Python for all backends as one script."""
    return "\n".join(re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL))


# A page may have the name of a module of Python, which a script must not have: random.
SCRIPTS = {f"page_{page.stem}": script for page in PAGES if (script := script_of(page))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write each page's script into one folder, and the script with mistakes beside them."""
    folder = tmp_path_factory.mktemp("scripts")
    for name, script in SCRIPTS.items():
        (folder / f"{name}.py").write_text(script)
    (folder / "wrong.py").write_text(WRONG.read_text())
    return folder


def _package_path() -> list[str]:
    """Return where unikeras is found, where that is not site-packages."""
    found = Path(unikeras.__file__).parents[1]
    return [] if found.name == "site-packages" else [str(found)]


def _run(*command: str, folder: Path) -> str:
    environment = {**os.environ, "MYPYPATH": os.pathsep.join(_package_path())}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def _mypy(folder: Path) -> dict[str, list[tuple[int, str]]]:
    files = sorted(path.name for path in folder.glob("*.py"))
    found = defaultdict(list)
    for line in _run("mypy", *MYPY, "--no-error-summary", *files, folder=folder).splitlines():
        if parsed := re.match(r"(\w+)\.py:(\d+): error: (.*)", line):
            found[parsed[1]].append((int(parsed[2]), parsed[3]))
        elif ": error:" in line:
            found["elsewhere"].append((0, line))
    return found


def _pyright(folder: Path) -> dict[str, list[tuple[int, str]]]:
    config = {**PYRIGHT, "extraPaths": _package_path()}
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    output = _run("basedpyright", "--outputjson", "--pythonpath", sys.executable, folder=folder)
    found = defaultdict(list)
    for each in json.loads(output)["generalDiagnostics"]:
        if each["severity"] == "error":
            found[Path(each["file"]).stem].append((each["range"]["start"]["line"] + 1, each["message"]))
    return found


# torch, which pages about its modules import on every backend, is not installed where types are checked.
NO_TORCH = re.compile(
    r'Cannot find implementation or library stub for module named "torch[.\w]*"|Import "torch[.\w]*" could not be'
)


@pytest.fixture(scope="module", params=[_mypy, _pyright], ids=["mypy", "pyright"])
def errors(request, folder):
    """Return the errors of one checker by script, each as (line, message)."""
    return {
        name: [(line, message) for line, message in found if not NO_TORCH.match(message)]
        for name, found in request.param(folder).items()
    }


@pytest.mark.parametrize("name", [*SCRIPTS, "elsewhere"])
def test_the_page_has_no_type_errors(errors, name):
    assert errors.get(name, []) == []


def test_every_mistake_is_reported(errors):
    lines = WRONG.read_text().splitlines()
    wrong = {number for number, line in enumerate(lines, 1) if line.endswith("# error")}
    assert wrong
    assert {number for number, _ in errors["wrong"]} == wrong

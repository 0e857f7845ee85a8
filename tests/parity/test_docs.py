"""Every page of the documentation, README too, run as a reader pastes it: top to bottom, twice, on every backend."""

from __future__ import annotations

import configparser
import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

import unikeras as uk
from unikeras import workers
from unikeras.cli import commands

ROOT = Path(__file__).parents[2]
PAGES = {page.name: page for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))}
# What a framework's own block computes under the name of a result above it, and must compute alike.
COMPARED = {
    "autodiff.md": {"gradients", "per_example", "product"},
    "recurrent.md": {"answers"},
}
FILES = {
    "README.md": {"memory.db", "model.onnx"},
    "chat.md": {"memory.db", "model.keras", "users.db"},
    "interop.md": {"imported.keras"},
    "memory.md": {"backups", "big.db", "memory.db"},
}


def python_of(page: str) -> list[tuple[str, str]]:
    """Return a page's Python blocks: (the backend that one is for, or "" for all, and the code)."""
    return re.findall(r"^```python ?(\w*)\n(.*?)^```$", PAGES[page].read_text(), re.MULTILINE | re.DOTALL)


def commands_of(page: str) -> list[list[str]]:
    """Return the words of each command in a page's shell blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGES[page].read_text(), re.MULTILINE | re.DOTALL)
    lines = [re.split(r"\s+# |&& |\| ", line) for block in blocks for line in block.splitlines()]
    return [shlex.split(part) for (first, *rest) in lines for part in (first, *rest)]


RUNNABLE = [page for page in PAGES if python_of(page)]
# Pages take turns; README, which everybody reads first, runs each time.
IN_TURN = [
    pytest.param(page, marks=[] if page == "README.md" else pytest.mark.rotated("page", "backend", parts=4))
    for page in RUNNABLE
]


def run(page: str, blocks: list[tuple[str, str]], folder: str) -> dict:
    """Run the blocks of this backend in one namespace, in a folder.

    Returns:
        `printed`: (the line of code, what it printed) of each print; `again`: the names that a framework's
        own block computed again, each equal to the result above it; `files`: what is in the folder.
    """
    import contextlib
    import sys
    from pathlib import Path

    import keras
    import numpy as np

    import unikeras as uk

    def arrays(value):
        return [keras.ops.convert_to_numpy(leaf) for leaf in keras.tree.flatten(value)]

    printed, again = [], set()

    def record(*values):
        printed.append((code.splitlines()[sys._getframe(1).f_lineno - 1].strip(), " ".join(map(str, values))))

    shared: dict = {"__name__": "page", "print": record}
    with contextlib.chdir(folder):
        for framework, code in blocks:
            if framework not in ("", uk.backend()):
                continue
            names = dict(shared) if framework else shared
            exec(compile(code, f"{page}: {framework or 'all'}", "exec"), names)
            if not framework:
                continue
            for name in ("answers", "gradients", "per_example", "product"):
                if name in shared and names[name] is not shared[name]:
                    for own, ours in zip(arrays(names[name]), arrays(shared[name]), strict=True):
                        np.testing.assert_allclose(own, ours, rtol=1e-4, atol=1e-5, err_msg=name)
                    again.add(name)
            shared.update({name: value for name, value in names.items() if name not in shared})
        return {"printed": printed, "again": again, "files": {path.name for path in Path.cwd().iterdir()}}


def check_printed(printed: list[tuple[str, str]]) -> None:
    """Compare each print with the comment behind it; `...` at its end leaves the rest open."""
    for line, text in printed:
        _, marked, comment = line.partition(")  # ")
        expected = comment.removesuffix("...").rstrip() if marked else ""
        whole = text if marked and not comment.endswith("...") else text[: len(expected)]
        assert whole == expected, f"{line!r} printed {text!r}"


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """Give each page one folder for all backends and both times."""
    folders = {page: tmp_path_factory.mktemp(page.partition(".")[0]) for page in RUNNABLE}
    return folders.__getitem__


# What a page leaves in its folder does not depend on the backend that finds it there.
AGAIN_ON = uk.backends.available()[-1]


@pytest.fixture(scope="module", params=["first", "again"])
def time(request):
    """Run all pages in new processes, and then all of them in new processes again."""
    workers.shutdown()
    yield request.param
    workers.shutdown()


@pytest.mark.parametrize("backend", uk.backends.available())
@pytest.mark.parametrize("page", IN_TURN)
def test_the_page_runs(time, page, backend, folder_of, request):
    if time == "again" and backend != AGAIN_ON and not request.config.getoption("--all"):
        pytest.skip("the second time is one backend's, or every one's with --all")
    result = uk.run_on(backend, run, page, python_of(page), str(folder_of(page)), timeout=300)
    check_printed(result["printed"])
    assert COMPARED.get(page, set()) <= result["again"]
    assert FILES.get(page, set()) <= result["files"]


def test_what_is_printed_is_held_against_its_comment():
    check_printed(
        [("print(f(2))  # (2, 4)", "(2, 4)"), ("print(e)  # NaN in ...", "NaN in 'log'"), ("print(e)", "x")]
    )
    with pytest.raises(AssertionError, match="printed '3'"):
        check_printed([("print(2)  # 2", "3")])


@pytest.mark.parametrize("page", ["autodiff.md", "recurrent.md", "training.md"])
def test_each_framework_has_its_own_words(page):
    assert {framework for framework, _ in python_of(page)} == {"", "tensorflow", "torch", "jax"}


@pytest.mark.parametrize("page", [page for page in PAGES if commands_of(page)])
def test_commands_name_what_exists(page):
    for words in commands_of(page):
        names = [word for word in words if not re.fullmatch(r"\w+=\S+", word)]
        check = CHECKS.get(Path(names[0]).name)
        if check is not None:
            check(names[1:])


def _check_unikeras(words: list[str]) -> None:
    command = commands.get_command(click.Context(commands), words[0])
    assert command is not None, words[0]
    known = {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    assert {word for word in words if word.startswith("--")} <= known, words


def _check_pip(words: list[str]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for word in words:
        named = re.fullmatch(r"\.\[(.*)\]", word)
        assert set(named[1].split(",") if named else []) <= set(extras)
        assert not word.startswith("constraints/") or (ROOT / word).is_file()


def _check_tox(words: list[str]) -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    assert words[0] in ("run", "run-parallel")
    named = words[words.index("-e") + 1 :] if "-e" in words else []
    assert all(f"testenv:{name}" in tox for name in named)


CHECKS = {"unikeras": _check_unikeras, "pip": _check_pip, "tox": _check_tox}


def test_the_page_names_every_format():
    table = PAGES["export.md"].read_text().partition("## Formats")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == [
        "saved_model", "onnx", "torchscript", "pt2", "litert", "openvino"
    ]  # fmt: skip

"""The files beside the package: they name what tox.ini, the locks and the package name."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

import unikeras

ROOT = Path(__file__).parents[2]
CI = (ROOT / ".github" / "workflows" / "ci.yml").read_text()


def _environments():
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    return tox, [name.strip() for name in tox["tox"]["env_list"].split(",")]


def _in_ci():
    """Return the environments of the matrix; the file is read as text, because no environment has a YAML reader."""
    listed = re.search(r"^ +env: \[(.+)\]$", CI, re.MULTILINE)[1].split(",")
    return {name.strip() for name in listed} | set(re.findall(r"\benv: ([\w-]+)", CI))


@pytest.mark.parametrize("name", _environments()[1])
def test_ci_runs_each_environment_of_tox(name):
    assert name in _in_ci()


def test_ci_names_only_environments_that_exist():
    tox, _ = _environments()
    assert _in_ci() <= {section.removeprefix("testenv:") for section in tox.sections()}


def test_rows_of_ci_without_a_lock_may_fail():
    rows = [row for row in re.findall(r"- \{(.+)\}", CI) if "env: lint" not in row]
    assert rows
    for row in rows:
        locked = (
            "ubuntu-latest" in row and ("3.12" in row) == ("jax-newest" in row) and "newest, may" not in row
        )
        assert ("may_fail: true" in row) != locked, row


def test_pre_commit_runs_the_ruff_of_the_lock():
    revision = re.search(r"ruff-pre-commit\n +rev: v(.+)", (ROOT / ".pre-commit-config.yaml").read_text())[1]
    assert f"ruff=={revision}\n" in (ROOT / "constraints" / "cpu.txt").read_text()


def test_the_citation_is_of_this_version():
    citation = (ROOT / "CITATION.cff").read_text()
    fields = dict(re.findall(r"^([\w-]+): (.+)$", citation, re.MULTILINE))
    assert fields["cff-version"] == "1.2.0"
    assert fields["version"] == unikeras.__version__
    assert {"message", "title"} <= set(fields)
    assert re.search(r"^authors:\n  - name: ", citation, re.MULTILINE)


def test_the_package_says_that_it_has_types():
    assert (Path(unikeras.__file__).parent / "py.typed").is_file()

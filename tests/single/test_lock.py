"""The locks: each environment installs exact versions, and one that is not in its lock is noticed."""

from __future__ import annotations

import configparser
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("lock", ROOT / "constraints" / "lock.py")
lock = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(lock)

TOX = configparser.ConfigParser(interpolation=None)
TOX.read(ROOT / "tox.ini")
ENVIRONMENTS = [name.strip() for name in TOX["tox"]["env_list"].split(",")]


def _lock_of(environment):
    section = TOX[f"testenv:{environment}"]
    return ROOT / Path(section.get("lock", TOX["testenv"]["lock"])).relative_to("{tox_root}")


@pytest.mark.parametrize("path", sorted(ROOT.glob("constraints/*.txt")), ids=lambda path: path.stem)
def test_a_lock_holds_exact_versions_only(path):
    lines = path.read_text().splitlines()
    assert path.stem in lock.LOCKS
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][^*,;+ ]*", line) for line in lines[1:])


def _requirements(environment):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    section = TOX[f"testenv:{environment}"]
    extras = {name: " ".join(lines) for name, lines in project["project"]["optional-dependencies"].items()}
    extras["all"] = " ".join(extras[name] for name in re.findall(r"\w+", extras["all"].partition("[")[2]))
    named = re.findall(r"[\w-]+", section.get("extras", ""))
    lines = [line for name in named for line in extras[name].split()]
    lines += [
        line for group in section["dependency_groups"].split() for line in project["dependency-groups"][group]
    ]
    lines += project["project"]["dependencies"] if named else []
    return {lock.canonical(re.match(r"[\w.-]+", line)[0]) for line in lines}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_requirement_of_an_environment_is_locked(environment):
    assert _requirements(environment)
    assert _requirements(environment) <= set(lock.read(_lock_of(environment)))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_environment_checks_itself(environment):
    section = TOX[f"testenv:{environment}"]
    check = section.get("commands_pre", TOX["testenv"]["commands_pre"])
    assert "lock.py --check" in check


def test_what_differs_from_the_lock_is_named():
    locked = {"numpy": "2.4.6", "torch": "2.13.0"}
    fine = [("NumPy", "2.4.6"), ("torch", "2.13.0+cpu"), ("pip", "26.0"), ("unikeras", "0.1.0")]
    assert lock.differences(fine, locked) == []
    assert lock.differences([*fine, ("Flat_Buffers", "1")], locked) == [
        "Flat_Buffers 1 is installed, the lock has no such package"
    ]
    assert lock.differences([("numpy", "2.4.7")], locked) == ["numpy 2.4.7 is installed, the lock has 2.4.6"]


def test_the_check_fails_where_something_is_not_locked(tmp_path):
    (tmp_path / "lock.txt").write_text("# nothing\nnumpy==0.0.1\n")
    command = [sys.executable, str(ROOT / "constraints" / "lock.py"), "--check", str(tmp_path / "lock.txt")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert re.search(r"numpy [0-9.]+ is installed, the lock has 0\.0\.1", done.stderr)

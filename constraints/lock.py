"""Writes and checks the locks: every package that an environment of tox.ini installs, at one exact version.

    python constraints/lock.py             resolve anew and write the locks
    python constraints/lock.py --check F   compare what is installed in this environment with the lock F

A lock `NAME.txt` is resolved from `NAME.in`, which holds back what must not move on its own. To take new releases,
change `NAME.in` if need be, write the lock, and run the tests. Python of the version that `LOCKS` names must run this.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent

# lock -> (the oldest Python that uses it, extras, dependency groups, further requirements)
LOCKS = {
    "cpu": ("3.11", ["tensorflow-cpu", "torch", "jax", "all"], ["test", "zoo", "lint", "type"], ["tox"]),
    "jax-newest": ("3.12", ["jax", "onnx", "demo", "data", "tensorboard"], ["test"], []),
}

# Installers come with the environment, before any lock is read.
_INSTALLERS = {"pip", "setuptools", "wheel"}


def canonical(name: str) -> str:
    """Return a package's name as indexes compare it.

    Example:
        >>> canonical("Flat_Buffers.x")
        'flat-buffers-x'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def read(lock: Path) -> dict[str, str]:
    """Return the version of each package in a lock."""
    lines = (line.partition("#")[0].strip() for line in lock.read_text().splitlines())
    return {canonical(name): version for name, _, version in (line.partition("==") for line in lines if line)}


def differences(installed: Iterable[tuple[str, str]], locked: dict[str, str]) -> list[str]:
    """Say of each installed package that the lock does not hold, or holds at another version, what it is."""
    return sorted(
        f"{name} {version} is installed, the lock has {locked.get(canonical(name), 'no such package')}"
        for name, version in installed
        if canonical(name) not in {*_INSTALLERS, "unikeras"}
        and locked.get(canonical(name)) != _without_label(version)
    )


def _without_label(version: str) -> str:
    """Drop a local label such as +cpu: it names a build, which another index may not have."""
    return version.partition("+")[0]


def installed() -> list[tuple[str, str]]:
    """Return the name and version of every distribution that this interpreter sees."""
    return [(found.metadata["Name"], found.version) for found in metadata.distributions()]


def _requirements(extras: list[str], groups: list[str]) -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    grouped = [line for group in groups for line in project["dependency-groups"][group]]
    return [f"{ROOT}[{','.join(extras)}]", *grouped, *project["build-system"]["requires"]]


def _resolve(name: str) -> dict[str, str]:
    python, extras, groups, others = LOCKS[name]
    if sys.version_info[:2] != tuple(map(int, python.split("."))):
        raise SystemExit(
            f"the lock {name!r} is resolved by Python {python}; this is {sys.version.split()[0]}"
        )
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    command += ["--report", "-", "--constraint", str(FOLDER / f"{name}.in")]
    done = subprocess.run(
        [*command, *_requirements(extras, groups), *others], stdout=subprocess.PIPE, check=True, text=True
    )
    found = (item["metadata"] for item in json.loads(done.stdout)["install"])
    return {canonical(each["name"]): each["version"] for each in found}


def _write(name: str) -> None:
    resolved = _resolve(name)
    resolved.pop("unikeras", None)
    lines = [f"# Made by `python constraints/lock.py {name}` from {name}.in; do not edit."]
    lines += [f"{package}=={_without_label(version)}" for package, version in sorted(resolved.items())]
    (FOLDER / f"{name}.txt").write_text("\n".join(lines) + "\n")


def main() -> None:
    """Write the locks named, or check this environment."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*LOCKS, []], help="which locks to write (default: cpu)")
    parser.add_argument("--check", type=Path, metavar="LOCK", help="compare what is installed with this file")
    options = parser.parse_args()
    if options.check is None:
        for name in options.names or ["cpu"]:
            _write(name)
    elif found := differences(installed(), read(options.check)):
        raise SystemExit("\n".join([f"{options.check} is not what is installed here:", *found]))


if __name__ == "__main__":
    main()

"""The backends that unikeras knows, by name. A new one is one line here and one package beside this file."""

from __future__ import annotations

import importlib
import logging
import re
from dataclasses import dataclass
from functools import cache
from importlib import metadata

from unikeras._base.optional import is_installed
from unikeras.backends._contract import Backend
from unikeras.errors import BackendUnavailable, UnknownBackend

logger = logging.getLogger("unikeras")


@dataclass(frozen=True)
class Entry:
    """Where a backend and its framework are found.

    Attributes:
        module: the package whose `create()` returns the `Backend`.
        framework: the framework's top-level module.
        distributions: the names under which the framework may be installed.
        requirement: what pip installs it by, quoted for a shell; the bounds are those of pyproject.toml.
    """

    module: str
    framework: str
    distributions: tuple[str, ...]
    requirement: str

    @property
    def version(self) -> str | None:
        """The installed framework's version, read without importing it."""
        for distribution in self.distributions:
            try:
                return metadata.version(distribution)
            except metadata.PackageNotFoundError:
                continue
        return None

    def untested(self) -> str | None:
        """Return a sentence where the installed version is outside the bounds of the requirement; else None."""
        bounds = re.search(r">=([\d.]+),<([\d.]+)", self.requirement)
        version = self.version
        if (
            bounds is None
            or version is None
            or _numbers(bounds[1]) <= _numbers(version) < _numbers(bounds[2])
        ):
            return None
        return (
            f"{self.framework} {version} is not among the tested versions, from {bounds[1]} to below {bounds[2]}; "
            "it may lack names that unikeras uses"
        )


def _numbers(version: str) -> list[int]:
    """Return the numbers that a version begins with: `2.13.0+cpu` is [2, 13, 0]."""
    return [int(number) for number in re.match(r"[\d.]*\d", version)[0].split(".")]  # type: ignore[index]


# What Keras takes, installed or not, where nothing names a backend.
KERAS_DEFAULT = "tensorflow"

# In the order in which one is chosen where nobody names one.
ENTRIES: dict[str, Entry] = {
    "tensorflow": Entry(
        "unikeras.backends.tensorflow",
        "tensorflow",
        ("tensorflow", "tensorflow-cpu", "tensorflow_cpu"),
        '"tensorflow>=2.21,<2.22"',
    ),
    "jax": Entry("unikeras.backends.jax", "jax", ("jax",), '"jax>=0.10,<0.13"'),
    "torch": Entry("unikeras.backends.torch", "torch", ("torch",), '"torch>=2.13,<2.14"'),
}


def names() -> list[str]:
    """Return the names of all backends, installed or not.

    Returns:
        Names in the order in which one would be chosen.

    Example:
        >>> names()
        ['tensorflow', 'jax', 'torch']
    """
    return list(ENTRIES)


def available() -> list[str]:
    """Return the names of the backends whose framework is installed, without importing any.

    Returns:
        Names in the order in which one would be chosen.

    Example:
        >>> set(available()) <= {"tensorflow", "jax", "torch"}
        True
    """
    return [name for name, entry in ENTRIES.items() if is_installed(entry.framework)]


def install_line(name: str) -> str:
    """Return the command that installs a backend's framework.

    Args:
        name: such as `"torch"`.

    Returns:
        A pip line.

    Example:
        >>> install_line("jax")
        'pip install "jax>=0.10,<0.13"'
    """
    return f"pip install {ENTRIES[name].requirement}"


def version(name: str) -> str | None:
    """Return the version of a backend's framework, without importing it.

    Args:
        name: such as `"torch"`.

    Returns:
        The version; None if the framework is not installed.

    Example:
        >>> version(available()[0]) is None
        False
    """
    return ENTRIES[name].version


def check(name: str) -> str:
    """Return a backend's name if it can be used here.

    Args:
        name: such as `"torch"`.

    Returns:
        The name.

    Raises:
        UnknownBackend: no backend has this name.
        BackendUnavailable: its framework is not installed; the message holds the pip line.

    Example:
        >>> check("numpy")
        Traceback (most recent call last):
        unikeras.errors.UnknownBackend: unknown backend 'numpy'; unikeras runs on tensorflow, jax, torch
    """
    if name not in ENTRIES:
        raise UnknownBackend(f"unknown backend {name!r}; unikeras runs on {', '.join(names())}")
    if name not in available():
        raise BackendUnavailable(f"backend {name!r} is not installed here: {install_line(name)}")
    return name


@cache
def load(name: str) -> Backend:
    """Import a backend, and its framework with it; keras is imported only when it is used.

    Args:
        name: such as `"torch"`.

    Returns:
        The backend; each call returns the same one.

    Raises:
        UnknownBackend: no backend has this name.
        BackendUnavailable: its framework is not installed, or fails to import.

    Example:
        >>> load(available()[0]).name in names()
        True
    """
    entry = ENTRIES[check(name)]
    if (reason := entry.untested()) is not None:
        logger.warning(reason)
    try:
        package = importlib.import_module(entry.module)
    except ImportError as error:
        raise BackendUnavailable(f"backend {name!r} is installed but does not import: {error}") from error
    return package.create()

"""A small project to begin with: model, data, training, tests, and an environment for each backend."""

from __future__ import annotations

import json
import os
import re
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path

import jinja2

import unikeras
from unikeras._base.files import written_atomically
from unikeras.errors import ArgumentValueError, OutputError

TEMPLATES = {
    "image": "a convolutional network that reads handwritten digits",
    "text": "a recurrent network that tells languages apart, byte by byte",
    "tabular": "a network over columns of a table, with its normalization inside",
    "gan": "two networks that compete, with a train step of their own",
}
_COMMON = "common"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def write_project(folder: str | os.PathLike[str], template: str) -> list[Path]:
    """Write a project into a new folder.

    Args:
        folder: its name is the project's. It must not exist, or be empty.
        template: one of `TEMPLATES`.

    Returns:
        The files, relative to the folder.

    Raises:
        ArgumentValueError: the name or the template is none that can be used.
        OutputError: the folder holds something, or cannot be written.
    """
    path = Path(folder)
    name = path.resolve().name
    if template not in TEMPLATES:
        raise ArgumentValueError(f"there is no template {template!r}; there are {', '.join(TEMPLATES)}")
    if not _NAME.fullmatch(name):
        raise ArgumentValueError(
            f"a project needs a name of letters, digits, - and _ that begins with a letter; received {name!r}"
        )
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise OutputError(f"{path} exists already; name a new folder")
    files = _files(template)
    try:
        with written_atomically(path) as staged:
            _write(files, staged, {"name": name, "template": template, "source": _source()})
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
    return sorted(files)


def _files(template: str) -> dict[Path, Traversable]:
    """Return the files of a project: those that all have, then the template's own."""
    root = resources.files(__name__) / "templates"
    found: dict[Path, Traversable] = {}
    for part in (_COMMON, template):
        for path, file in _walk(root / part, Path()):
            found[path.with_name(path.name.removesuffix(".j2"))] = file
    return found


def _walk(folder: Traversable, path: Path) -> list[tuple[Path, Traversable]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _walk(entry, path / entry.name) if entry.name != "__pycache__" else []
        else:
            found.append((path / entry.name, entry))
    return found


def _write(files: dict[Path, Traversable], folder: Path, values: dict[str, str]) -> None:
    for path, file in files.items():
        text = file.read_text(encoding="utf-8")
        if file.name.endswith(".j2"):
            text = jinja2.Template(text, keep_trailing_newline=True, undefined=jinja2.StrictUndefined).render(
                values
            )
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def _source() -> str:
    """Return what pip installs this unikeras from: the folder or archive it came from, else its version."""
    try:
        origin = json.loads(metadata.distribution("unikeras").read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        origin = {}
    url = origin.get("url")
    return f" @ {url}" if url else f"=={unikeras.__version__}"

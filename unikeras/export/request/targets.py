"""Where artifacts go, and what may stand there already."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unikeras._base.printable import printable
from unikeras.errors import ArgumentError, OutputError
from unikeras.export._metadata import FILE
from unikeras.export.request import format_table
from unikeras.export.request.format_table import Format


@dataclass(frozen=True)
class Target:
    """One artifact to make."""

    format: Format
    path: Path


def targets(name: str, path: str | os.PathLike[str], format: str | Sequence[str] | None) -> list[Target]:
    """Return what one call of `export_model` must make.

    Args:
        name: the model's name, for the files in a folder.
        path: the artifact's path, or the folder where `format` is a list.
        format: one name, several, or None to follow the suffix.

    Raises:
        ArgumentError: path or format is not of a kind that can be used.
        UnknownFormat: there is no such format, or the suffix contradicts it.
    """
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise ArgumentError(f"path has to be the path of a file or folder; received {path!r}")
    final = Path(path)
    if format is None:
        return [Target(format_table.format_of_path(final), final)]
    if isinstance(format, str):
        row = format_table.find_format(format)
        format_table.check_suffix(final, row)
        return [Target(row, final)]
    if not isinstance(format, list | tuple) or not format or not all(isinstance(one, str) for one in format):
        raise ArgumentError(f"format has to be a name, a list of names, or None; received {format!r}")
    rows = [format_table.find_format(one) for one in dict.fromkeys(format)]
    return [Target(row, final / f"{name}{row.suffix}") for row in rows]


def check_free(target: Target, overwrite: bool) -> None:
    """Refuse a target whose place is taken by something that must not be replaced.

    Raises:
        OutputError: something stands there and `overwrite` is False, or it is a folder that holds more
            than an earlier export, or a file where a folder must be.
    """
    path, beside = target.path, target.path.with_suffix(target.format.beside)
    try:
        path.exists()
    except (OSError, ValueError) as error:  # a name too long; a NUL in it
        shown = printable(str(path))[:80]
        raise OutputError(f"cannot write {shown}: {getattr(error, 'strerror', None) or error}") from error
    for place in [path, beside] if target.format.beside else [path]:
        if not overwrite and (place.exists() or place.is_symlink()):
            raise OutputError(f"{place} exists; pass overwrite=True to replace it")
    if not path.exists():
        return
    if target.format.is_folder != path.is_dir():
        is_a, needs_a = ("folder", "file") if path.is_dir() else ("file", "folder")
        raise OutputError(f"{path} is a {is_a}, and {target.format.name} makes a {needs_a}; remove it first")
    if path.is_dir() and any(path.iterdir()) and not is_saved_model_export(path):
        raise OutputError(f"{path} is no earlier export by unikeras; remove it, or choose another path")


def is_saved_model_export(path: Path) -> bool:
    """Say whether a folder is a SavedModel that `export_model` wrote."""
    return (path / "saved_model.pb").is_file() and (path / "assets.extra" / FILE).is_file()


def files_of(path: Path, beside: str = "") -> list[Path]:
    """Return the files that make an artifact: the file and what stands beside it, or all in a folder."""
    if path.is_dir():
        return sorted(child for child in path.rglob("*") if child.is_file())
    return [path, path.with_suffix(beside)] if beside else [path]


def artifact_files(path: Path, format: str) -> list[Path]:
    """Return the files that make an artifact.

    Args:
        path: where it is.
        format: its format's name; the second file of a format of two counts only where it is there.

    Returns:
        The paths of its files; for a folder, of all files inside.

    Example:
        >>> artifact_files(Path("model.onnx"), "onnx")
        [PosixPath('model.onnx')]
    """
    beside = format_table.FORMATS[format].beside
    return files_of(path, beside if beside and path.with_suffix(beside).is_file() else "")


def size_of(target: Target) -> int:
    """Return the bytes of an artifact."""
    return sum(file.stat().st_size for file in files_of(target.path, target.format.beside))

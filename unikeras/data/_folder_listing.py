"""What is in a folder of pictures: classes, pictures, masks; nothing outside of it, nothing hidden."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from unikeras._base.printable import printable
from unikeras.data._images import SUFFIXES
from unikeras.errors import ArgumentError, ArgumentValueError, DatasetError

_LAYOUT = (
    "expected one sub-folder of pictures for each class, as in flowers/rose/1.jpg and flowers/tulip/1.jpg"
)


def folder_at(path: Any) -> Path:
    """Return a folder's own path, without links.

    Raises:
        ArgumentError: it is no path.
        DatasetError: it is missing, a file, or cannot be listed.
    """
    if not isinstance(path, str | os.PathLike):
        raise ArgumentError(f"path has to be a folder; received {path!r:.60} of type {type(path).__name__}")
    shown = printable(os.fspath(path))
    if not shown:
        raise DatasetError(f"the path of the folder is empty; {_LAYOUT}")
    try:
        root = Path(path).resolve(strict=True)
        if not root.is_dir():
            raise DatasetError(f"{shown} is a file; {_LAYOUT}")
        os.scandir(root).close()
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(
            f"cannot read {shown}: {getattr(error, 'strerror', None) or error}; {_LAYOUT}"
        ) from error
    return root


def class_names(root: Path, classes: Any) -> tuple[str, ...]:
    """Return the names of the classes, in the order of their numbers.

    Raises:
        ArgumentError: the classes are no names.
        ArgumentValueError: a name is there twice.
        DatasetError: there are none, there is one only, or a name has no folder.
    """
    if classes is None:
        names = tuple(entry.name for entry in _entries(root) if entry.is_dir(follow_symlinks=False))
        outside = [root / entry.name for entry in _entries(root) if entry.is_symlink() and entry.is_dir()]
        _warn_of_links(root, outside)
    elif (
        isinstance(classes, str)
        or not isinstance(classes, Sequence)
        or not all(isinstance(n, str) for n in classes)
    ):
        raise ArgumentError(
            f"classes has to be a list of names of sub-folders, None or False; received {classes!r:.60}"
        )
    else:
        names = tuple(classes)
        if not names:
            raise ArgumentValueError(
                "classes names no sub-folder; None takes all of them, and False reads without labels"
            )
        if len(set(names)) < len(names):
            raise ArgumentValueError(f"classes names a sub-folder twice: {', '.join(names)}")
        for name in names:
            folder = root / name
            if not folder.is_dir() or folder.resolve().parent != root:
                there = ", ".join(entry.name for entry in _entries(root) if entry.is_dir()) or "none"
                raise DatasetError(
                    f"{printable(str(root))} has no sub-folder {name!r} for a class; there are: {printable(there)}"
                )
        return names
    if not names:
        raise DatasetError(
            f"{printable(str(root))} has no sub-folders; {_LAYOUT}; classes=False reads without labels"
        )
    if len(names) == 1:
        raise DatasetError(
            f"{printable(str(root))} has only one class, {printable(names[0])}; at least two are needed; classes=False "
            f"reads without labels, and classes=[{names[0]!r}] takes one class all the same"
        )
    return names


def check_classes(root: Path, names: Sequence[str], by_class: Sequence[Sequence[Path]]) -> None:
    """Refuse classes without pictures.

    Raises:
        DatasetError: a class has none.
    """
    empty = [name for name, files in zip(names, by_class, strict=True) if not files]
    if empty:
        raise DatasetError(
            f"there are no pictures ({', '.join(sorted(SUFFIXES))}) of {printable(', '.join(empty))} in "
            f"{printable(str(root))}; remove the empty sub-folders, or name the classes in classes=[...]"
        )


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what is in a folder, by name, without what is hidden."""
    try:
        with os.scandir(folder) as entries:
            shown = [
                entry for entry in entries if not entry.name.startswith(".") and entry.name != "__MACOSX"
            ]
    except OSError as error:
        raise DatasetError(f"cannot read {printable(str(folder))}: {error.strerror}") from error
    return sorted(shown, key=lambda entry: entry.name)


def pictures_in(root: Path, folder: Path, leave_out: Path | None = None) -> list[Path]:
    """Return the pictures below a folder, by name; links that lead out of the root are left out, with a warning.

    Raises:
        DatasetError: a folder cannot be read.
    """
    outside: list[Path] = []
    files = list(_walk(root, folder, leave_out, outside))
    _warn_of_links(root, outside)
    return files


def _walk(root: Path, folder: Path, leave_out: Path | None, outside: list[Path]) -> Iterator[Path]:
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        if path.is_dir() and not path.is_symlink():
            if path != leave_out:
                waiting += [path / entry.name for entry in reversed(_entries(path))]
        elif path.is_symlink() and _leads_out(path, root):
            outside.append(path)
        elif path.suffix.lower() in SUFFIXES:
            yield path


def _leads_out(link: Path, root: Path) -> bool:
    try:
        return link.is_dir() or not link.resolve().is_relative_to(root)
    except (OSError, RuntimeError):  # links in a circle
        return True


def _warn_of_links(root: Path, links: Sequence[Path]) -> None:
    if links:
        names = ", ".join(printable(link.relative_to(root).as_posix()) for link in links)
        warnings.warn(
            f"links to folders, and links that lead out of {printable(str(root))}, are left out: {names}",
            stacklevel=5,
        )


def pictures_with_masks(root: Path, masks: Any) -> tuple[list[Path], list[Path]]:
    """Return pictures and the mask of each.

    Args:
        root: the folder of the pictures.
        masks: a folder, or a pattern with a `*`.

    Raises:
        ArgumentError: it is neither.
        ArgumentValueError: the pattern fits every name, or none.
        DatasetError: there is no such folder, or a picture or a mask has no counterpart.
    """
    if not isinstance(masks, str | os.PathLike):
        raise ArgumentError(f"masks has to be a folder or a pattern such as '*_mask'; received {masks!r:.60}")
    text = os.fspath(masks)
    pictures, found = _beside(root, text) if "*" in text else _mirrored(root, Path(text))
    lonely = [name for name in pictures if name not in found]
    spare = [name for name in found if name not in pictures]
    problems = [
        f"{what}: {printable(', '.join(names[:3]))}{', ...' if len(names) > 3 else ''} ({len(names)} in all)"
        for what, names in (("pictures without a mask", lonely), ("masks without a picture", spare))
        if names
    ]
    if problems:
        raise DatasetError(f"{printable(str(root))} and masks={text!r} do not fit: {'; '.join(problems)}")
    return list(pictures.values()), [found[name] for name in pictures]


def _mirrored(root: Path, masks: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    folder = root / masks if (root / masks).is_dir() else masks
    if not folder.is_dir():
        raise DatasetError(
            f"there is no folder of masks {printable(str(masks))}, in {printable(str(root))} or as a path"
        )
    folder = folder.resolve()
    if folder == root:
        raise DatasetError(
            f"pictures and masks are in one folder, {printable(str(root))}; write masks='*_mask'"
        )
    pictures, found = pictures_in(root, root, folder), pictures_in(folder, folder)
    return _named(root, {path: path for path in pictures}), _named(folder, {path: path for path in found})


def _beside(root: Path, pattern: str) -> tuple[dict[str, Path], dict[str, Path]]:
    before, _, after = pattern.partition("*")
    if "*" in after or "/" in pattern or not before + after:
        raise ArgumentValueError(
            f"masks={pattern!r} has to be one * for the picture's name, and something before or after it"
        )
    with_suffix = Path(pattern).suffix.lower() in SUFFIXES
    pictures: list[Path] = []
    masks: list[Path] = []
    for path in pictures_in(root, root):
        name = path.name if with_suffix else path.stem
        is_mask = name.startswith(before) and name.endswith(after) and len(name) > len(before + after)
        (masks if is_mask else pictures).append(path)

    def picture_of(mask: Path) -> Path:
        name = mask.name if with_suffix else mask.stem
        return mask.with_name(name[len(before) : len(name) - len(after)] + ".png")

    return _named(root, {path: path for path in pictures}), _named(
        root, {picture_of(path): path for path in masks}
    )


def _named(root: Path, files: Mapping[Path, Path]) -> dict[str, Path]:
    """Return files by the names of their pictures below a folder, without suffixes.

    Args:
        root: the folder.
        files: by the path of the picture.
    """
    named: dict[str, Path] = {}
    for picture, path in files.items():
        name = picture.relative_to(root).with_suffix("").as_posix()
        if name in named:
            raise DatasetError(
                f"{printable(str(named[name]))} and {printable(path.name)} are for one picture; masks go by name"
            )
        named[name] = path
    return named

"""A private copy of an artifact: each file is opened once, and what is checked is what is loaded.

A path can mean another file a moment later, and a file can be written to while it is read. The copy stands in
a folder that only this user can enter.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from unikeras._base.printable import printable
from unikeras.errors import ArtifactNotFound, CorruptArtifact, OutputError, UnsafeArtifact
from unikeras.export.verify.bounds import PREFIX, Bounds
from unikeras.export.verify.known_artifacts import digest_of

_CHUNK = 2**20
_MOST_FILES = 10_000
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


@dataclass
class Copy:
    """An artifact's files under another name.

    Attributes:
        origin: the path that the caller named.
        path: the copy's path.
        folder: the private folder that holds it.
        trust: whether it may run code, and links may lead out of its folder.
        bounds: what the artifact may ask for.
        size: the bytes copied so far.
        further: the names of the files that `add` copied.
        kept: whether the copy outlives the block, until what `keep_for` was given is gone.
        beside: the suffix of the artifact's second file, or `""`.
    """

    origin: Path
    path: Path
    folder: Path
    trust: bool
    bounds: Bounds
    size: int = 0
    further: list[str] = field(default_factory=list)
    kept: bool = False
    beside: str = ""

    @property
    def digest(self) -> str:
        """A digest of the bytes of the copy."""
        return digest_of(self.path, self.beside)

    def add(self, name: str) -> None:
        """Copy a file that the artifact names, such as an ONNX file's external weights.

        Raises:
            CorruptArtifact: there is no such file, or it is not a regular file.
            UnsafeArtifact: it stands outside the artifact's folder.
        """
        parts = PurePosixPath(name).parts
        if not parts or PurePosixPath(name).is_absolute() or ".." in parts or "\\" in name or "\0" in name:
            raise UnsafeArtifact(
                f"{self.origin} takes data from {printable(name)!r}, which is outside its folder"
            )
        target = self.folder.joinpath(*parts)
        if target.exists():
            raise CorruptArtifact(f"{self.origin} takes data from {printable(name)!r}, which is itself")
        target.parent.mkdir(parents=True, exist_ok=True)
        self.further.append(name)
        self._take(self.origin.parent.joinpath(*parts), target, within=self.origin.parent)

    def keep_for(self, user: Any) -> None:
        """Keep the copy until an object that reads it is gone, or the process ends; not one forked from it."""
        self.kept, owner = True, os.getpid()
        folder = str(self.folder)
        weakref.finalize(
            user, lambda: shutil.rmtree(folder, ignore_errors=True) if os.getpid() == owner else None
        )

    def text_of(self, text: str) -> str:
        """Return a runtime's message with the caller's path in it, fit for a terminal."""
        return printable(text.replace(str(self.path), str(self.origin)))

    def _take(self, source: Path, target: Path, within: Path | None = None) -> None:
        with _reading(source, self.origin) as descriptor:
            found = os.fstat(descriptor)
            if within is not None and not self.trust:
                _check_place(source, within, found)
            self.size += found.st_size
            self._check_size()
            _transfer(descriptor, target, found.st_size, source)

    def _check_size(self) -> None:
        if self.size > self.bounds.bytes:
            raise CorruptArtifact(
                f"{self.origin} has more than {self.bounds.bytes:,} bytes; {PREFIX}BYTES raises the bound"
            )
        if self.size > shutil.disk_usage(self.folder).free:
            raise OutputError(f"no room in {self.folder.parent} for a private copy of {self.origin}")


@contextlib.contextmanager
def private_copy(path: Path, beside: str, trust: bool, bounds: Bounds) -> Iterator[Copy]:
    """Give a private copy of an artifact, which is deleted after the block unless it was kept.

    Args:
        path: a file or a folder.
        beside: the suffix of its second file, where its format has one.
        trust: whether links may lead out of the artifact's folder.
        bounds: what it may ask for.

    Raises:
        CorruptArtifact: a part of it is not a regular file, cannot be read, or it is too large.
        UnsafeArtifact: a part of it is a link that leaves its folder.
        OutputError: there is no room for the copy.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="unikeras-"))
    except OSError as error:
        raise OutputError(f"no temporary folder for a private copy of {path}: {error.strerror}") from error
    copy = Copy(path, folder / f"model{path.suffix.lower()}", folder, trust, bounds)
    try:
        yield _fill(copy, beside)
    finally:
        if not copy.kept:
            shutil.rmtree(folder, ignore_errors=True)


def _fill(copy: Copy, beside: str) -> Copy:
    path = copy.origin
    if path.is_dir():
        copy.path.mkdir()
        for number, source in enumerate(_walk(path)):
            if number >= _MOST_FILES:
                raise CorruptArtifact(f"{path} has more than {_MOST_FILES:,} files")
            target = copy.path / source.relative_to(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            copy._take(source, target, within=path)
        return copy
    copy._take(path, copy.path)
    if beside and path.with_suffix(beside).exists():
        copy.beside = beside
        copy._take(path.with_suffix(beside), copy.path.with_suffix(beside), within=path.parent)
    return copy


def _walk(folder: Path) -> Iterator[Path]:
    for child in sorted(folder.iterdir()):
        if child.is_dir() and not child.is_symlink():
            yield from _walk(child)
        else:
            yield child


@contextlib.contextmanager
def _reading(path: Path, origin: Path) -> Iterator[int]:
    """Give a descriptor of a regular file; whatever else has this name is not opened to be read."""
    try:
        _check_kind(path, os.stat(path))  # noqa: PTH116 (opening a device can already do something)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        if path == origin:
            raise ArtifactNotFound(f"there is nothing at {path}") from error
        raise CorruptArtifact(f"{origin} lacks {printable(str(path))}") from error
    except OSError as error:
        raise CorruptArtifact(f"{printable(str(path))} cannot be read: {error.strerror}") from error
    try:
        _check_kind(path, os.fstat(descriptor))
        yield descriptor
    finally:
        os.close(descriptor)


def _check_kind(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise CorruptArtifact(f"{printable(str(path))} is {kind}, not a regular file")


def _check_place(path: Path, folder: Path, found: os.stat_result) -> None:
    """Refuse a link out of the artifact's folder: what it holds would come out as the model's weights."""
    if not path.resolve().is_relative_to(folder.resolve()):
        how = "is a link that leaves the artifact's folder"
    elif found.st_nlink > 1:
        how = "is a hard link, and its other name may be anywhere"
    else:
        return
    raise UnsafeArtifact(f"{printable(str(path))} {how}; copy the file there, or pass trust=True (--trust)")


def _transfer(descriptor: int, target: Path, size: int, source: Path) -> None:
    left = size
    try:
        with target.open("xb") as written:
            while chunk := os.read(descriptor, _CHUNK):
                left -= len(chunk)
                if left < 0:
                    break
                written.write(chunk)
    except OSError as error:
        raise OutputError(f"{printable(str(source))} could not be copied: {error.strerror}") from error
    if left:
        raise CorruptArtifact(f"{printable(str(source))} changed while it was read")

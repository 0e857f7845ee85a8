"""Files and folders that appear whole or not at all.

A file is written under a temporary name beside its final one, flushed to the disk and renamed; a reader,
or a power cut, sees the old content or the new, never half of either.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from unikeras.errors import OutputError


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_tree(path: Path) -> None:
    if path.is_dir():
        for child in path.iterdir():
            _sync_tree(child)
    _sync(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _replace(written: Path, final: Path) -> None:
    if not final.is_dir():
        written.replace(final)
        return
    # A folder cannot be renamed over another, so the old one steps aside and comes back on failure.
    aside = written.with_name(written.name + ".old")
    final.replace(aside)
    try:
        written.replace(final)
    except OSError:
        aside.replace(final)
        raise
    _remove(aside)


@contextlib.contextmanager
def whole(path: str | os.PathLike[str], beside: str = "") -> Iterator[Path]:
    """Give a temporary path to write to; it becomes `path` only when the block ends without an error.

    Args:
        path: where the file or folder shall stand. What stands there already is replaced.
        beside: the suffix of a second file that has to be written with it, for a format of two files.

    Yields:
        A path in a fresh hidden folder beside the final one, with the same name and suffix.
        Nothing exists there yet.

    Raises:
        OutputError: the folder cannot be written to, the disk is full, or nothing was written.

    Example:
        >>> import tempfile; folder = Path(tempfile.mkdtemp())
        >>> with whole(folder / "a.txt") as temporary:
        ...     _ = temporary.write_text("all of it")
        >>> (folder / "a.txt").read_text(), len(list(folder.iterdir()))
        ('all of it', 1)
    """
    final = Path(path)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        room = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
    except OSError as error:
        raise OutputError(f"cannot write to {final.parent}: {error.strerror or error}") from error
    try:
        yield room / final.name
        finals = [final.with_suffix(beside), final] if beside else [final]
        for one in finals:
            if not (room / one.name).exists():
                raise OutputError(f"nothing was written for {one}")
            _sync_tree(room / one.name)
        if beside:  # an earlier file must not stand beside new weights, not even for a moment
            final.unlink(missing_ok=True)
        for one in finals:
            _replace(room / one.name, one)
        _sync(final.parent)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {final}: {error.strerror or error}") from error
    finally:
        _remove(room)

"""Files and folders that are written atomically.

A file is written under a temporary name beside its final one, flushed to the disk and renamed; a reader,
or a power cut, sees the old content or the new, never half of either, and never nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from unikeras._base.exchange import exchange
from unikeras._base.staging_folder import StagingFolder, mark_of
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


@contextlib.contextmanager
def written_atomically(path: str | os.PathLike[str], beside: str = "") -> Iterator[Path]:
    """Give a temporary path to write to; it becomes `path` only when the block ends without an error.

    What killed processes have left of writing to the same path is finished or cleaned up first.

    Args:
        path: where the file or folder is to stand. What stands there already is replaced.
        beside: the suffix of a second file that has to be written with it, for a format of two files. No system
            replaces two files in one step: a kill between the steps leaves the new second file with the old first
            one, until `recover`, or the next call for the same path, finishes the work.

    Yields:
        A path in a fresh hidden folder beside the final one, with the same name and suffix.
        Nothing exists there yet.

    Raises:
        OutputError: the folder cannot be written to, the disk is full, or nothing was written.

    Example:
        >>> import tempfile; folder = Path(tempfile.mkdtemp())
        >>> with written_atomically(folder / "a.txt") as temporary:
        ...     _ = temporary.write_text("all of it")
        >>> (folder / "a.txt").read_text(), len(list(folder.iterdir()))
        ('all of it', 1)
    """
    final = Path(path)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        _clean_up(final)
        staging = StagingFolder.make(final)
    except OSError as error:
        raise OutputError(f"cannot write to {final.parent}: {error.strerror or error}") from error
    try:
        yield staging.path / final.name
        finals = [final.with_suffix(beside), final] if beside else [final]
        for one in finals:
            if not (staging.path / one.name).exists():
                raise OutputError(f"nothing was written for {one}")
            _sync_tree(staging.path / one.name)
        _put_in_place(staging, finals)
        _sync(final.parent)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {final}: {error.strerror or error}") from error
    finally:
        staging.remove()


def recover(path: str | os.PathLike[str]) -> None:
    """Finish a replacement that a killed process left half-way; where there is none, this does nothing.

    Args:
        path: the file or folder that is about to be read; a second file beside it is found by itself.

    Example:
        >>> recover("no/such/model.xml")
    """
    final = Path(path)
    for staging in StagingFolder.find_abandoned(final):
        with contextlib.suppress(OSError):  # who may only read has to take what is there
            _finish(staging, final.parent)


def _clean_up(final: Path) -> None:
    for staging in StagingFolder.find_abandoned(final):
        _finish(staging, final.parent)
        staging.remove()


def _finish(staging: StagingFolder, folder: Path) -> None:
    """Move what is left in a staging folder, where some of it has taken its place and the rest has not.

    Where all of it is still there, the process was killed before it began, and the old content is untouched.
    """
    announced = staging.read_announcement()
    names = [name for name in announced if Path(name).name == name]
    left = [name for name in names if mark_of(staging.path / name) == announced[name]]
    begun = any(mark_of(folder / name) in (None, announced[name]) for name in names)
    if left and begun:
        for name in left:
            _move(staging.path / name, folder / name)
        _sync(folder)


def _put_in_place(staging: StagingFolder, finals: list[Path]) -> None:
    """Let what was written in a staging folder take its place: all of it, or, where one step fails, nothing."""
    if len(finals) == 1 and not finals[0].is_dir():
        (staging.path / finals[0].name).replace(finals[0])
        return
    staging.announce([final.name for final in finals])
    announced = staging.read_announcement()
    existed = {final: os.path.lexists(final) for final in finals}
    try:
        for final in finals:
            _move(staging.path / final.name, final)
    except BaseException:  # an interrupt between two steps, too
        for final in reversed(finals):
            if mark_of(final) == announced[final.name]:
                _take_back(staging.path / final.name, final, existed[final])
        raise


def _move(written: Path, final: Path) -> None:
    """Put something in a place; what stood there is at the written path, or beside it, afterwards."""
    if not os.path.lexists(final):
        written.replace(final)
    elif not exchange(written, final):
        aside = written.with_name(f"{written.name}.old")
        if final.is_dir():  # a folder cannot be renamed over another
            final.replace(aside)
        else:
            _keep(final, aside)
        written.replace(final)


def _keep(final: Path, aside: Path) -> None:
    try:
        aside.hardlink_to(final)
    except OSError:  # a file system without links
        shutil.copy2(final, aside, follow_symlinks=False)


def _take_back(written: Path, final: Path, existed: bool) -> None:
    aside = written.with_name(f"{written.name}.old")
    if os.path.lexists(aside):
        final.replace(written)
        aside.replace(final)
    elif existed:
        exchange(written, final)
    else:
        final.replace(written)

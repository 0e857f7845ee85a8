"""The hidden folder in which a file or folder is written before it replaces what stands at its final path.

Its writer locks it, and the lock ends with the process. So what a killed process has left can be told from what a
living one still needs, on all machines that share the folder and its locks.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

# Marks a staging folder; once its content is complete, the file lists what is about to be moved.
_NOTE = ".unikeras"

# What tells a file from any other that stands at its path later: its device, its inode, and, as systems use the
# inodes of deleted files again, the time of its last change.
Mark = tuple[int, int, int]


class StagingFolder:
    """A locked staging folder.

    Args:
        path: the folder.
        lock: a descriptor of it that holds the lock.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def make(cls, final: Path) -> Self:
        """Make a new staging folder beside a path."""
        while True:
            path = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
            staging = cls._lock_folder(path, must=False)
            # Another process may have taken it for one that was left, before it was locked.
            if staging is not None:
                (path / _NOTE).touch()
                return staging

    @classmethod
    def find_abandoned(cls, final: Path) -> Iterator[Self]:
        """Yield the staging folders beside a path whose processes are gone, locked while they are looked at."""
        pattern = re.compile(rf"\.{re.escape(final.name)}\.[a-z0-9_]{{8}}")
        try:
            found = sorted(path for path in final.parent.iterdir() if pattern.fullmatch(path.name))
        except OSError:
            return
        for path in found:
            staging = cls._lock_folder(path, must=True)
            if staging is None:
                continue
            try:
                if staging._is_ours():
                    yield staging
            finally:
                staging.unlock()

    @classmethod
    def _lock_folder(cls, path: Path, must: bool) -> Self | None:
        """Return a staging folder, or None where another process has it.

        Without `must`, a file system without locks is good enough.
        """
        try:
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        except OSError:
            if must:
                os.close(lock)
                return None
        with contextlib.suppress(OSError):
            if os.path.samestat(path.lstat(), os.fstat(lock)):
                return cls(path, lock)
        os.close(lock)
        return None

    def _is_ours(self) -> bool:
        names = [path.name for path in self.path.iterdir()]
        return not names or _NOTE in names

    def announce(self, names: list[str]) -> None:
        """Note, on the disk, that these files are complete and about to take their places."""
        note = self.path / _NOTE
        with note.open("w", encoding="utf-8") as file:
            json.dump({name: mark_of(self.path / name) for name in names}, file)
            file.flush()
            os.fsync(file.fileno())

    def read_announcement(self) -> dict[str, Mark]:
        """Return which files were announced; none where there is no such note, or half of one."""
        try:
            content = json.loads((self.path / _NOTE).read_text(encoding="utf-8"))
            return {str(name): (int(a), int(b), int(c)) for name, (a, b, c) in content.items()}
        except (OSError, ValueError, TypeError, LookupError, AttributeError):
            return {}

    def unlock(self) -> None:
        """Let others have the folder; once is enough."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def __del__(self) -> None:
        self.unlock()  # after an interrupt that nobody expected, so that the next call can clean up

    def remove(self) -> None:
        """Delete the folder and all in it, its note last: one without a note would never be cleaned up."""
        with contextlib.suppress(OSError):
            for child in self.path.iterdir():
                if child.name != _NOTE and child.is_dir() and not child.is_symlink():
                    shutil.rmtree(child, ignore_errors=True)
                elif child.name != _NOTE:
                    child.unlink()
            shutil.rmtree(self.path, ignore_errors=True)
        self.unlock()


def mark_of(path: Path) -> Mark | None:
    """Return what tells a file from all others; None where nothing stands at the path."""
    with contextlib.suppress(OSError):
        status = path.lstat()
        return status.st_dev, status.st_ino, status.st_mtime_ns
    return None

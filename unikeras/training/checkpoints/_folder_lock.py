"""The lock of a folder of checkpoints: one process at a time writes there.

The lock is the system's own and ends with the process, however that ends. It belongs to the process: all
checkpointers of one process share it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
import weakref
from pathlib import Path
from typing import Any

from unikeras.errors import OutputError

fcntl: Any
msvcrt: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt

NAME = ".unikeras-lock"

Identity = tuple[int, int]


class FolderLock:
    """A lock on a folder, shared by those in this process who hold it; it is released with the last of them.

    Args:
        folder: the folder; it has to exist when the lock is taken.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._identity: Identity | None = None
        self._folder: Identity | None = None
        self._release: weakref.finalize[..., FolderLock] | None = None

    def acquire(self) -> None:
        """Take the lock, or see whether it is still held; it is held until `release`.

        Raises:
            OutputError: another process has it, the folder cannot be written to, or it is no longer the same one.
        """
        folder = _identity_of(self._path.parent)
        if self.is_held and _identity_of(self._path) == self._identity:
            return
        if self.is_held:
            self.release()
            if folder != self._folder:
                raise OutputError(
                    f"{self._path.parent} was removed or replaced while this run saved there, and its checkpoints "
                    "are gone with it; the next save begins the folder anew"
                )
            # Somebody has deleted the lock's file alone.
        with _guard:
            identity = _identity_of(self._path)
            if identity is None or identity not in _held:
                identity, descriptor = _lock(self._path)
                _held[identity] = [descriptor, 0]
            _held[identity][1] += 1
            self._identity, self._folder = identity, folder
            self._release = weakref.finalize(self, _release, identity)

    def release(self) -> None:
        """Let other processes write; a lock that is not held is ignored."""
        if self._release is not None and self.is_held:
            self._release()
        self._identity = None

    @property
    def is_held(self) -> bool:
        """Whether this process took the lock by `acquire`, without `release` after it."""
        return self._identity in _held


# Descriptor and number of holders of each lock of this process.
_held: dict[Identity, list[int]] = {}
_guard = threading.RLock()  # a finalizer may run in the thread that holds it


def _release(identity: Identity) -> None:
    with _guard:
        if identity in _held:
            _held[identity][1] -= 1
            if _held[identity][1] == 0:
                os.close(_held.pop(identity)[0])


def _forget_after_fork() -> None:
    """Let a forked process ask for the lock as any other: it has its parent's descriptors, and not its locks."""
    global _guard
    _guard = threading.RLock()
    for descriptor, _ in _held.values():
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


def _identity_of(path: Path) -> Identity | None:
    with contextlib.suppress(OSError):
        status = path.stat()
        return status.st_dev, status.st_ino
    return None


def _lock(path: Path) -> tuple[Identity, int]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError as error:
        raise OutputError(f"cannot write to {path.parent}: {error.strerror or error}") from error
    try:
        _lock_descriptor(descriptor, path)
        status = os.fstat(descriptor)
        # What stands there now is what others will lock.
        if _identity_of(path) != (status.st_dev, status.st_ino):
            raise OutputError(f"{path.parent} was removed or replaced while it was opened")
        _write_owner(descriptor)
        return (status.st_dev, status.st_ino), descriptor
    except BaseException:
        os.close(descriptor)
        raise


def _lock_descriptor(descriptor: int, path: Path) -> None:
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except (BlockingIOError, PermissionError) as error:
        owner = os.read(descriptor, 100).decode("ascii", "replace").strip() or "another process"
        raise OutputError(
            f"{path.parent} is in use: {owner} saves its checkpoints there; give each run a folder of its own"
        ) from error
    except OSError as error:
        warnings.warn(
            f"the file system of {path.parent} has no locks ({error.strerror or error}): nothing keeps another run "
            "from saving there too",
            stacklevel=2,
        )


def _write_owner(descriptor: int) -> None:
    """Note for people who has the lock; nobody decides by it."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {_host()}\n".encode("ascii", "replace"), 0)


def _host() -> str:
    import platform

    return platform.node()

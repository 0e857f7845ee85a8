"""A file that grows while a model trains, and whose failures do not stop the training."""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
import weakref
from pathlib import Path

from unikeras.errors import OutputError

# What is kept of a file that cannot be written: some 100,000 scalars.
MOST_PENDING = 16 * 2**20


class AppendedFile:
    """Appends complete records to a file: a reader never finds a torn record before another one.

    A write that fails (the disk is full) is cut off again and tried anew at the next flush. There is one warning, and
    the caller goes on. If the file was deleted, it is made anew. A fork of the process writes nothing.

    Args:
        path: the file; its folder is made.
        head: what a new or empty file begins with.

    Raises:
        OutputError: the file cannot be opened.
    """

    def __init__(self, path: Path, head: bytes = b"") -> None:
        self.path = path.absolute()  # the process may go to another folder
        self._head = head
        self._lock = threading.Lock()
        self._pending: list[bytes] = []
        self._bytes = 0
        self._has_warned = False
        self._owner = os.getpid()
        try:
            self._descriptor = self._open()
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
        # Python runs it when the object goes, or at exit.
        self._finalizer = weakref.finalize(self, _close, self._descriptor, self._pending, self._owner)

    def append(self, record: bytes) -> None:
        """Add a record; `flush` writes it."""
        if os.getpid() != self._owner:
            return
        with self._lock:
            if self._pending and self._bytes + len(record) > MOST_PENDING:
                self._warn(f"{self.path} cannot be written, and what comes now is lost")
                return
            self._pending.append(record)
            self._bytes += len(record)

    @property
    def pending(self) -> int:
        """How many bytes wait to be written."""
        return self._bytes

    def flush(self, sync: bool = False) -> None:
        """Write all that was added.

        Args:
            sync: whether to wait until the disk has it.
        """
        if os.getpid() != self._owner:
            return
        with self._lock:
            try:
                if not self._is_there():
                    self._reopen()
                if self._pending:
                    _write(self._descriptor, b"".join(self._pending))
                    self._pending.clear()
                    self._bytes = 0
                if sync:
                    os.fsync(self._descriptor)
            except OSError as error:
                self._warn(
                    f"cannot write {self.path}: {error.strerror or error}; training goes on, and what is to be "
                    "written is kept and tried again"
                )

    def close(self) -> None:
        """Write all that was added and close the file."""
        if self._finalizer.alive:
            self.flush()
            self._finalizer()

    def _open(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            if self._head and os.fstat(descriptor).st_size == 0:
                _write(descriptor, self._head)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def _reopen(self) -> None:
        descriptor = self._open()
        os.dup2(descriptor, self._descriptor, inheritable=False)
        os.close(descriptor)

    def _warn(self, message: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(message, stacklevel=2)


def _write(descriptor: int, data: bytes) -> None:
    """Append all of it, or nothing."""
    before = os.fstat(descriptor).st_size
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except BaseException:  # an interrupt, too
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, before)
        raise


def _close(descriptor: int, pending: list[bytes], owner: int) -> None:
    if os.getpid() == owner and pending:
        with contextlib.suppress(OSError):
            _write(descriptor, b"".join(pending))
    os.close(descriptor)

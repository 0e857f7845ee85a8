"""TensorBoard's event files: records with checksums around protocol buffers, both as tensorboardX writes them."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import re
import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from unikeras import backends
from unikeras._base.optional import require
from unikeras.callbacks._appended_file import AppendedFile
from unikeras.errors import OutputError

_numbers = itertools.count()
# A longer record was not written by a callback.
_LONGEST_RECORD = 2**30
# More is written at once.
_MOST_BYTES = 2**20


@functools.cache
def tensorboardx(module: str) -> ModuleType:
    """Import a module of tensorboardX, and no framework with it.

    It imports torch where that is installed, which takes a second or two, and uses it for tensors of torch only: here
    every tensor is a numpy array before it is written.

    Args:
        module: a name inside the package, such as `"summary"`.

    Raises:
        MissingDependency: tensorboardX is not installed.
    """
    absent = [entry.framework for entry in backends.ENTRIES.values() if entry.framework not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        return require(f"tensorboardX.{module}", "tensorboard", "TensorBoard's event files")
    finally:
        for name in absent:
            if name in sys.modules and sys.modules[name] is None:
                del sys.modules[name]


class EventFile:
    """One file of events in a folder.

    Args:
        folder: the run's folder.
        suffix: added to the file's name.
        flush_secs: seconds until what was added is written at the latest when more is added.
        max_queue: events that are kept in memory at most.

    Raises:
        OutputError: the folder or the file cannot be made.
    """

    def __init__(
        self, folder: Path, suffix: str = "", flush_secs: float = 120, max_queue: int = 1000
    ) -> None:
        self._protos = tensorboardx("proto.event_pb2")
        self._flush_secs = flush_secs
        self._max_queue = max_queue
        self._count = 0
        self._flushed = time.monotonic()
        now = time.time()
        name = f"events.out.tfevents.{now:.0f}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}{suffix}"
        head = self._protos.Event(wall_time=now, file_version="brain.Event:2")
        check_folder(folder)
        self._file = AppendedFile(folder / name, frame(head.SerializeToString()))

    def add(self, step: int | None = None, walltime: float | None = None, **content: Any) -> None:
        """Add an event.

        Args:
            step: the global step.
            walltime: seconds since 1970; now, where there is none.
            **content: one field of TensorBoard's Event, such as `summary`.
        """
        event = self._protos.Event(wall_time=time.time() if walltime is None else walltime, **content)
        if step is not None:
            event.step = step
        self._file.append(frame(event.SerializeToString()))
        self._count += 1
        is_full = self._count >= self._max_queue or self._file.pending > _MOST_BYTES
        if is_full or time.monotonic() - self._flushed > self._flush_secs:
            self.flush()

    def begin_at(self, step: int) -> None:
        """Tell readers to drop what the folder has from a step on: a run goes on there."""
        log = self._protos.SessionLog(status=self._protos.SessionLog.START)
        self.add(step, session_log=log)

    def flush(self) -> None:
        """Write what was added."""
        self._file.flush()
        self._count = 0
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Write what was added and close the file."""
        self._file.close()


def check_address(log_dir: Path) -> None:
    """Refuse the address of a store elsewhere, which would become a folder here.

    Raises:
        OutputError: it is one.
    """
    if re.match(r"[a-z0-9]{2,}:/", str(log_dir)):
        raise OutputError(f"log_dir {str(log_dir)!r} is an address; expected a folder of this machine")


def check_folder(folder: Path) -> None:
    """Refuse what cannot be a folder of logs.

    Raises:
        OutputError: it is a file, below a file, or cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise OutputError(f"log_dir {str(folder)!r} is a file; expected a folder, or a new path") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"log_dir {str(folder)!r} cannot be made: {reason}") from error


def frame(data: bytes) -> bytes:
    """Return the record of an event: its length and its content, each with a checksum."""
    checksum = tensorboardx("record_writer").masked_crc32c
    length = struct.pack("<Q", len(data))
    return b"".join((length, struct.pack("<I", checksum(length)), data, struct.pack("<I", checksum(data))))


def read_events(folder: Path) -> Iterator[Any]:
    """Yield each event that a run's folder holds; a damaged record ends its file."""
    event_type = tensorboardx("proto.event_pb2").Event
    for path in sorted(folder.glob("events.out.tfevents.*")):
        with contextlib.suppress(OSError):
            for data in _records(path):
                event = event_type()
                try:
                    event.ParseFromString(data)
                except Exception:  # the protobuf library's own class, DecodeError
                    break
                yield event


def _records(path: Path) -> Iterator[bytes]:
    checksum = tensorboardx("record_writer").masked_crc32c
    with path.open("rb") as file:
        while len(head := file.read(12)) == 12:
            length, check = struct.unpack("<QI", head)
            if checksum(head[:8]) != check or length > _LONGEST_RECORD:
                return
            body = file.read(length + 4)
            if len(body) < length + 4:
                return
            yield body[:-4]

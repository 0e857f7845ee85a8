"""The line between an owner and a worker: numbered messages on a socket, sent and received within a deadline.

Nothing that comes from the other side is trusted: code that a worker runs may write to the line itself.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

Bytes = bytes | bytearray | memoryview

# A mark, the kind, the sender's process id, the number of the call, the length of what follows.
_HEAD = struct.Struct("!4s8sQQQ")
_MARK = b"ukw1"
# No message is longer. What is announced is never reserved, so a lie costs the memory of what really came.
LONGEST = 2**40
_PIECE = 2**20
# How often, in seconds, who waits looks whether the other side is still there. A message, or the end of the line,
# wakes it at once; this is for a process whose own children keep the line open.
_LOOK = 0.2


class BadMessage(Exception):
    """What came is not what the other side of a line sends."""


@dataclass(frozen=True)
class Message:
    """What was sent: its kind, from which process, for which call."""

    kind: bytes
    process: int
    number: int
    content: memoryview


class Line:
    """One end of the line.

    Args:
        end: a connected stream socket.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end

    def send(
        self,
        kind: bytes,
        number: int,
        *parts: Bytes,
        deadline: float | None = None,
        is_there: Callable[[], bool] = lambda: True,
    ) -> None:
        """Send a message.

        Args:
            kind: at most eight bytes.
            number: of the call.
            *parts: the content; it arrives in one piece.
            deadline: on `time.monotonic()`'s clock; None to wait for ever.
            is_there: says whether the other side can still read.

        Raises:
            TimeoutError: the deadline has passed.
            EOFError, OSError: the other side is gone.
        """
        length = sum(len(part) for part in parts)
        for part in (_HEAD.pack(_MARK, kind, os.getpid(), number, length), *parts):
            left = memoryview(part)
            while left:
                self._wait(select.POLLOUT, deadline, is_there)
                try:
                    left = left[self._end.send(left[:_PIECE]) :]
                except BlockingIOError:
                    continue

    def receive(self, deadline: float | None = None, is_there: Callable[[], bool] = lambda: True) -> Message:
        """Return the next message; the arguments are those of `send`.

        Raises:
            TimeoutError: the deadline has passed.
            EOFError, OSError: the other side is gone.
            BadMessage: it is none that this class sends.
        """
        mark, kind, process, number, length = _HEAD.unpack(self._read(_HEAD.size, deadline, is_there))
        if mark != _MARK or length > LONGEST:
            raise BadMessage(f"the line carries other bytes than messages, or one of {length} bytes")
        try:
            content = self._read(length, deadline, is_there)
        except MemoryError as error:
            raise BadMessage(f"a message of {length} bytes does not fit in memory") from error
        return Message(kind.rstrip(b"\0"), process, number, memoryview(content))

    def is_quiet(self) -> bool:
        """Say whether nothing can be read: neither a message nor the end of the line."""
        return not _poll(self._end, select.POLLIN, 0)

    def close(self) -> None:
        """Close this end."""
        self._end.close()

    def _read(self, length: int, deadline: float | None, is_there: Callable[[], bool]) -> bytearray:
        content = bytearray()
        while len(content) < length:
            self._wait(select.POLLIN, deadline, is_there)
            try:
                piece = self._end.recv(min(length - len(content), _PIECE))
            except BlockingIOError:
                continue
            if not piece:
                raise EOFError
            content += piece
        return content

    def _wait(self, event: int, deadline: float | None, is_there: Callable[[], bool]) -> None:
        while True:
            left = _LOOK if deadline is None else deadline - time.monotonic()
            if _poll(self._end, event, max(0.0, min(left, _LOOK))):
                return
            if left <= 0:
                raise TimeoutError
            if not is_there() and not _poll(self._end, event, 0):
                raise EOFError


def _poll(end: socket.socket, event: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(end, event)
    return bool(poll.poll(1000 * seconds))

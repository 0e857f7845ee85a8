"""A worker seen from inside: read calls, run them, answer, and end when the owner does."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import pickle
import signal
import socket
import sys
import threading
import traceback
from queue import SimpleQueue
from typing import NoReturn

from unikeras.workers import _guardian, _remote, _travel
from unikeras.workers._line import Line, Message

HELLO, CALL = b"hello", b"call"

Inbox = SimpleQueue[Message]


def main(connection: int, lifeline: int, owner: int) -> NoReturn:
    """Serve the owner until it is gone.

    Args:
        connection: the file descriptor of the line on which calls come and answers go.
        lifeline: the file descriptor that can be read when the owner is gone, or wants this to end.
        owner: its process id.
    """
    for number in (connection, lifeline):
        os.set_inheritable(number, False)
    _guardian.split(lifeline, connection, owner)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)  # or a killed worker's last words are lost
    faulthandler.enable()
    line = Line(socket.socket(fileno=connection))
    os.register_at_fork(
        after_in_child=line.close
    )  # a fork of the worker neither reads its calls nor answers them
    line.send(HELLO, 0)
    inbox: Inbox = SimpleQueue()
    threading.Thread(target=_read, args=(line, inbox), daemon=True).start()
    worker = os.getpid()
    while True:
        _answer(line, inbox.get(), worker)


def _read(line: Line, inbox: Inbox) -> None:
    with contextlib.suppress(EOFError, OSError):
        while True:
            inbox.put(line.receive())
    os.kill(os.getpid(), signal.SIGKILL)  # the guardian ends all that the work started


def _answer(line: Line, call: Message, worker: int) -> None:
    kind, content = _work(call.content, worker)
    _flush()
    with contextlib.suppress(BrokenPipeError):  # the reading thread is ending us
        line.send(kind, call.number, content)


def _work(content: memoryview, worker: int) -> tuple[bytes, _travel.Packed]:
    try:
        length = int.from_bytes(content[:8])
        sys.path[:], folder = pickle.loads(content[8 : 8 + length])
        if folder is not None:
            os.chdir(folder)
        f, args, kwargs = _travel.unpack(content[8 + length :], "the function, or one of its arguments,")
        result = f(*args, **kwargs)
        if os.getpid() != worker:
            _end_fork(None)
        return _remote.RETURNED, _travel.pack(result, "what the function returned")
    except BaseException as error:  # an exit or an interrupt in f is the owner's to hear of, too
        if os.getpid() != worker:
            _end_fork(error)
        return _remote.RAISED, _remote.pack_error(error)


def _end_fork(error: BaseException | None) -> NoReturn:
    """End a fork of the worker that came out of the function: the answer to the call is not its to give."""
    code: object = 0 if error is None else 1
    if isinstance(error, SystemExit):
        code = error.code or 0
    elif error is not None:
        traceback.print_exception(error)
    _flush()
    os._exit(code if isinstance(code, int) else 1)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()

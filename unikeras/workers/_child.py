"""A worker seen from inside: read calls, run them, answer, and end when the owner does."""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import io
import os
import pickle
import signal
import sys
import threading
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import NoReturn

from unikeras.workers import _remote, _travel

Inbox = SimpleQueue[tuple[bytes, bytes]]


def main(connection_number: int, lifeline_number: int) -> NoReturn:
    """Serve the owner until it is gone.

    Args:
        connection_number: the file descriptor on which calls come and answers go.
        lifeline_number: the file descriptor whose other end closes when the owner ends.
    """
    for number in (connection_number, lifeline_number):
        os.set_inheritable(number, False)
    _die_with_owner(lifeline_number)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)  # or a killed worker's last words are lost
    faulthandler.enable()
    connection = Connection(connection_number)
    inbox: Inbox = SimpleQueue()
    threading.Thread(target=_read, args=(connection, inbox), daemon=True).start()
    while True:
        _answer(connection, *inbox.get())


def _read(connection: Connection, inbox: Inbox) -> None:
    with contextlib.suppress(EOFError, OSError):
        while True:
            inbox.put((connection.recv_bytes(), connection.recv_bytes()))
    os.killpg(os.getpid(), signal.SIGKILL)  # ours, and with it all that the work started


def _die_with_owner(lifeline: int) -> None:
    """Have the system itself end this process group with its owner, where it can (Linux).

    The reading thread does the same everywhere, but needs the interpreter's lock for it, and C code
    that never gives it up would outlive its owner.
    """
    with contextlib.suppress(AttributeError, OSError):
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpid())
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def _answer(connection: Connection, surroundings: bytes, request: bytes) -> None:
    kind, payload = _work(surroundings, request)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
    with contextlib.suppress(BrokenPipeError):  # the reading thread is ending us
        connection.send_bytes(kind)
        connection.send_bytes(payload)


def _work(surroundings: bytes, request: bytes) -> tuple[bytes, _travel.Packed]:
    try:
        sys.path[:], folder = pickle.loads(surroundings)
        if folder is not None:
            os.chdir(folder)
        f, args, kwargs = _travel.unpack(request, "the function, or one of its arguments,")
        return _remote.RETURNED, _travel.pack(f(*args, **kwargs), "what the function returned")
    except BaseException as error:  # an exit or an interrupt in f is the owner's to hear of, too
        return _remote.RAISED, _remote.pack_error(error)

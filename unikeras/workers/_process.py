"""A worker seen from its owner: an interpreter in a session of its own, and the line to it."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import time

from unikeras.errors import WorkerDied, WorkerError, WorkerTimeout
from unikeras.workers import _remote
from unikeras.workers._child import CALL, HELLO
from unikeras.workers._line import BadMessage, Line, Message
from unikeras.workers._travel import Packed

Reply = tuple[bytes, memoryview]

# Not `-m`: that would look for unikeras, and all it imports, in the working directory first, and not
# where a script has put it on its sys.path.
_BOOT = """\
import sys
connection, lifeline, owner, *sys.path[:] = sys.argv[1:]
del sys.argv[1:]
from unikeras.workers._child import main
main(int(connection), int(lifeline), int(owner))
"""

# How long, in seconds, the guardian may take to end what the worker started; then its process group is killed.
_PATIENCE = 5.0


def _search_path() -> list[str]:
    return [entry for entry in sys.path if isinstance(entry, str)]


def _surroundings() -> bytes:
    try:
        folder = os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        folder = None
    return pickle.dumps((_search_path(), folder))


class Worker:
    """A process that runs one function after another; it begins with `start`.

    An interrupt may come at any moment: what was acquired is kept in a field before it is used, so that `kill` can
    end it, and a call that did not finish leaves a worker that is not ready for another.

    Args:
        backend: what KERAS_BACKEND says there; None for nothing.
    """

    def __init__(self, backend: str | None) -> None:
        self._backend = backend
        self._name = f"{backend or 'plain'} worker"
        self._owner = os.getpid()
        self._line: Line | None = None
        self._lifeline: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._worker = 0  # the process id behind the guardian's, once it has said hello
        self._calls = 0
        self._ready = False

    def start(self) -> None:
        """Start the process."""
        environment = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
        if self._backend is not None:
            environment["KERAS_BACKEND"] = self._backend
        here, there = socket.socketpair()
        self._line = Line(here)
        self._lifeline, end = socket.socketpair()
        with there, end:
            numbers = [there.fileno(), end.fileno()]
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, *map(str, numbers), str(self._owner), *_search_path()],
                pass_fds=numbers,
                env=environment,
                stdin=subprocess.DEVNULL,
                # A terminal's Ctrl-C reaches the owner alone, who then stops the worker and all it started.
                start_new_session=True,
            )
        self._ready = True

    def is_ready(self) -> bool:
        """Say whether the process waits for a call."""
        # It says nothing unasked: what can be read before a call is the end of the line, or of nobody we asked.
        return self._ready and self._line is not None and self._is_running() and self._line.is_quiet()

    def ask(self, request: Packed, name: str, deadline: float | None) -> Reply:
        """Send a packed call and wait for its answer.

        Args:
            request: from `_travel.pack_call`.
            name: what the function is called, for errors.
            deadline: on `time.monotonic()`'s clock; None to wait for ever.

        Raises:
            WorkerTimeout: the deadline has passed.
            WorkerDied: the process ended first.
            WorkerError: what it answered is no answer.
        """
        self._ready = False
        self._calls += 1
        try:
            reply = self._exchange(request, deadline)
        except TimeoutError:  # an OSError too
            raise WorkerTimeout(
                f"{name} did not return from the {self._name} in time; it was stopped"
            ) from None
        except BadMessage as error:
            raise WorkerError(
                f"the {self._name} did not answer {name} as a worker does: {error}; it was stopped, and the next call "
                "starts a fresh one. Does the function write to file descriptors that it did not open?"
            ) from error
        except (EOFError, OSError, ValueError):
            raise self._death_error(name) from None
        self._ready = True
        return reply

    def _exchange(self, request: Packed, deadline: float | None) -> Reply:
        line, number = self._line, self._calls
        if line is None:
            raise EOFError
        surroundings = _surroundings()
        parts = (len(surroundings).to_bytes(8), surroundings, request)
        line.send(CALL, number, *parts, deadline=deadline, is_there=self._is_running)
        while not self._worker:
            self._worker = _greeting(line.receive(deadline, self._is_running)).process
        while True:
            message = line.receive(deadline, self._is_running)
            # Whoever else has a copy of the line, and a call that is over, are not listened to.
            if (message.process, message.number) != (self._worker, number):
                continue
            if message.kind not in (_remote.RETURNED, _remote.RAISED):
                raise BadMessage(f"a message of kind {message.kind!r}")
            return message.kind, message.content

    def _is_running(self) -> bool:
        """Say whether the process runs, without waiting for it: until then, its number is that of its group."""
        process = self._process
        if process is None or process.returncode is not None or os.getpid() != self._owner:
            return False
        if not hasattr(os, "waitid"):  # macOS before Python 3.13
            return process.poll() is None
        try:
            return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:  # somebody else has waited for it
            return False

    def _death_error(self, name: str) -> WorkerError:
        if os.getpid() != self._owner:
            return WorkerError(
                f"this process was forked while {name} ran on the {self._name}; the answer goes to the parent alone"
            )
        self.kill()
        code = self._process.returncode if self._process is not None else None
        how = f"exited with code {code}"
        if code is not None and code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        if code == -signal.SIGKILL:
            how += " (by hand, or by the system for want of memory)"
        story = f"the {self._name} {how} while it ran {name}; the next call starts a fresh one"
        return WorkerDied(story, code)

    def kill(self) -> None:
        """End the process and all that it started; once is enough, more does no harm."""
        self._ready = False
        process, lifeline = self._process, self._lifeline
        if process is None:  # an interrupt came while it started; the end of the lifeline ends it
            self._close()
            return
        if process.returncode is not None:
            return
        if lifeline is not None:
            with contextlib.suppress(OSError):
                lifeline.send(b"end")
        end = time.monotonic() + _PATIENCE
        while self._is_running() and time.monotonic() < end:
            time.sleep(0.002)
        # While nobody has waited for the group's leader, the number cannot mean another group.
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def abandon(self) -> None:
        """Let go of the process without ending it: it belongs to the process that we were forked from."""
        self._ready = False
        self._close()
        if self._process is not None:
            self._process.returncode = 0  # or it would warn that it still runs

    def __del__(self) -> None:
        self._close()

    def _close(self) -> None:
        for end in (self._line, self._lifeline):
            if end is not None:
                end.close()


def _greeting(message: Message) -> Message:
    if message.kind != HELLO:
        raise BadMessage(f"a message of kind {message.kind!r} before its greeting")
    return message

"""A worker seen from its owner: an interpreter in a session of its own, and the line to it."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection, Pipe

from unikeras.errors import WorkerDied, WorkerTimeout
from unikeras.workers._travel import Packed

Reply = tuple[bytes, bytes]

# Not `-m`: that would look for unikeras, and all it imports, in the working directory first, and not
# where a script has put it on its sys.path.
_BOOT = """\
import sys
connection, lifeline, *sys.path[:] = sys.argv[1:]
del sys.argv[1:]
from unikeras.workers._child import main
main(int(connection), int(lifeline))
"""

# How often, in seconds, a waiting owner looks whether the worker still lives. An answer, or the end of
# the connection, wakes it at once; this is for a worker whose own children keep the connection open.
_LOOK = 0.2


def _search_path() -> list[str]:
    return [entry for entry in sys.path if isinstance(entry, str)]


def _surroundings() -> bytes:
    try:
        folder = os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        folder = None
    return pickle.dumps((_search_path(), folder))


class Worker:
    """A process that runs one function after another.

    Args:
        backend: what KERAS_BACKEND says there; None for nothing.
    """

    def __init__(self, backend: str | None) -> None:
        self._name = f"{backend or 'plain'} worker"
        environment = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
        if backend is not None:
            environment["KERAS_BACKEND"] = backend
        self._connection, there = Pipe()
        # Nothing is ever written to this one; its end tells the worker that we are gone.
        end, self._lifeline = Pipe(duplex=False)
        self._killed = False
        try:
            with there, end:
                self._process = self._start((there, end), environment)
        except BaseException:  # Ctrl-C may come when the process is there and its number is not
            self._connection.close()
            self._lifeline.close()
            raise

    @staticmethod
    def _start(ends: tuple[Connection, ...], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        numbers = [end.fileno() for end in ends]
        return subprocess.Popen(
            [sys.executable, "-c", _BOOT, *map(str, numbers), *_search_path()],
            pass_fds=numbers,
            env=environment,
            stdin=subprocess.DEVNULL,
            # A terminal's Ctrl-C reaches the owner alone, who then stops the worker and all it started.
            start_new_session=True,
        )

    def is_alive(self) -> bool:
        """Say whether the process still runs and waits for a call."""
        # It says nothing unasked: what can be read before a call is the end of the connection.
        return not self._killed and self._process.poll() is None and not self._connection.poll()

    def ask(self, request: Packed, name: str, deadline: float | None) -> Reply:
        """Send a packed call and wait for its answer.

        Args:
            request: from `_travel.pack_call`.
            name: what the function is called, for errors.
            deadline: on `time.monotonic()`'s clock; None to wait for ever.

        Raises:
            WorkerTimeout: the deadline has passed.
            WorkerDied: the process ended first.
        """
        try:
            self._connection.send_bytes(_surroundings())
            self._connection.send_bytes(request)
            if not self._wait(deadline):
                raise WorkerTimeout(f"{name} did not return from the {self._name} in time; it was stopped")
            return self._connection.recv_bytes(), self._connection.recv_bytes()
        except WorkerTimeout:  # an OSError too
            raise
        except (EOFError, OSError):
            raise self._died(name) from None

    def _wait(self, deadline: float | None) -> bool:
        while True:
            left = _LOOK if deadline is None else deadline - time.monotonic()
            if self._connection.poll(max(0.0, min(left, _LOOK))):
                return True
            if left <= 0:
                return False
            if self._process.poll() is not None and not self._connection.poll():
                raise EOFError

    def _died(self, name: str) -> WorkerDied:
        self.kill()
        code = self._process.returncode
        how = f"exited with code {code}"
        if code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        if code == -signal.SIGKILL:
            how += " (by hand, or by the system for want of memory)"
        story = f"the {self._name} {how} while it ran {name}; the next call starts a fresh one"
        return WorkerDied(story, code)

    def kill(self) -> None:
        """End the process and all that it started; once is enough, more does no harm."""
        if not self._killed:
            self._killed = True
            # The group first: while its leader is not waited for, the number cannot mean another group.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def abandon(self) -> None:
        """Let go of the process without ending it: it belongs to the process that we were forked from."""
        self._killed = True
        self._connection.close()
        self._lifeline.close()
        self._process.returncode = 0  # or it would warn that it still runs

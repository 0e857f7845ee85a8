"""The process between an owner and its worker, which ends all that the worker started, wherever it went.

A process may leave its group and its session, and its parent may end before it. The guardian is, where the system
can do that (Linux), the one to whom such orphans are given, so that all of them are found below it. It runs no
code but this, so no library that holds the interpreter's lock keeps it from noticing that the owner is gone.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import time
from pathlib import Path
from typing import NoReturn

_SUBREAPER, _DEATH_SIGNAL = 36, 1  # PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG in <linux/prctl.h>
_LOOK = 1.0
# How long processes may take to end: one in the middle of a system call may have to wait for a disk.
_PATIENCE = 3.0


def split(lifeline: int, connection: int, owner: int) -> None:
    """Become two processes: return in the worker, and guard it in the other one, which never returns.

    Args:
        lifeline: a file descriptor that can be read when the owner is gone, or wants the worker to end.
        connection: the worker's line, which the guardian closes.
        owner: the process id of the owner.
    """
    _control(_SUBREAPER, 1)
    guardian = os.getpid()
    worker = os.fork()
    if worker:
        os.close(connection)
        _guard(worker, lifeline, owner)
    os.close(lifeline)
    _control(_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != guardian:  # it ended before this could be asked for
        os._exit(1)


def descendants(process: int) -> list[int]:
    """Return the processes below one, where the system lists them in /proc; those that have ended are not among them.

    Example:
        >>> descendants(2**30)
        []
    """
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):  # it ended meanwhile
            state, parent = entry.read_text(errors="replace").rpartition(")")[2].split()[:2]
            if state not in "ZX":
                children.setdefault(int(parent), []).append(int(entry.parent.name))
            else:  # its children are about to be given away
                children.setdefault(int(parent), [])
    found, left = [], [process]
    while left:
        below = children.pop(left.pop(), [])
        found += below
        left += below
    return found


def _guard(worker: int, lifeline: int, owner: int) -> NoReturn:
    wakes, wake = os.pipe()
    os.set_blocking(wakes, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: asked.append(number))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    poll = select.poll()
    poll.register(lifeline, select.POLLIN)
    poll.register(wakes, select.POLLIN)
    status = _reap(worker)
    while status is None and not asked and os.getppid() == owner:
        ready = dict(poll.poll(1000 * _LOOK))
        if lifeline in ready:
            break
        with contextlib.suppress(BlockingIOError):
            os.read(wakes, 4096)
        status = _reap(worker)
    _end_as(_end_all(worker, status))


def _end_all(worker: int, status: int | None) -> int:
    """End everything below this process, and return how the worker ended."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        below = descendants(os.getpid())
        for process in below or ([worker] if status is None else []):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        found = _reap(worker)
        status = found if status is None else status
        if status is not None and not below:
            break
        time.sleep(0.002)
    if status in (None, signal.SIGKILL):
        os.killpg(
            0, signal.SIGKILL
        )  # this process too; where /proc lists nobody, the others of the group are left
        signal.pause()
    return status or 0


def _reap(worker: int) -> int | None:
    """Wait for all children that have ended, orphans too; return the worker's status where it is among them."""
    status = None
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            if found[0] == worker:
                status = found[1]
    return status


def _end_as(status: int) -> NoReturn:
    """End as the worker did, so that the owner, who waits for this process, is told how."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the worker has left its own core
        with contextlib.suppress(OSError):  # of SIGKILL
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
        signal.pause()
    os._exit(code)


def _control(option: int, value: int) -> None:
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)

"""Processes that tests kill, interrupt and wait for."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import unikeras

PACKAGE = str(Path(unikeras.__file__).parent)


def in_a_process(work):
    """Run some work in a fork, which may be killed; say whether it was."""
    if (pid := os.fork()) == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


class Interrupt(BaseException):
    """What a signal handler raises here."""


def interrupted_at(instruction, work):
    """Raise before one instruction of the package's code; return whether the work had that many."""
    left = instruction

    def trace(frame, event, _):
        nonlocal left
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                raise Interrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except Interrupt:
        pass
    finally:
        sys.settrace(before)
    return left <= 0


def in_another_thread(work, within=10):
    """Run some work in a thread of its own, which must not wait for what is gone; return its result."""
    found = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()
    thread.join(within)
    assert found, "it waits for ever, or failed"
    return found[0]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        if not Path("/proc").is_dir():
            return True
        # A zombie has ended, though nobody has waited for it; but its other threads may not have yet.
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z" or len(list(Path(f"/proc/{pid}/task").iterdir())) > 1
    except (ProcessLookupError, FileNotFoundError):
        return False


def wait_until(condition, what: str) -> None:
    """Wait for an event that a busy machine may delay; only one that never comes takes all of the time."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def assert_gone(pid: int) -> None:
    wait_until(lambda: not is_running(pid), f"process {pid} still runs")


def wait_for(path: Path) -> str:
    """Return the text of a file, once its last line is complete."""
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"), f"{path} was never written")
    return path.read_text()

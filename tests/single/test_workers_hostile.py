"""Workers whose code forks, escapes, stalls or writes to their line: an error by name, and nobody left behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time

import pytest
from helpers.processes import assert_gone, wait_for

import unikeras as uk
from unikeras import workers
from unikeras.errors import (
    ArgumentValueError,
    RemoteError,
    WorkerDied,
    WorkerError,
    WorkerTimeout,
)

PART = float(os.environ.get("UNIKERAS_TEST_INTERRUPTS", "0.1"))


@pytest.fixture(autouse=True)
def _fresh():
    yield
    workers.shutdown()


def answers(kind=b"returned", length=None, content=b"", raw=None):
    """Write to the worker's own line, as a library that closed a wrong descriptor might."""
    import gc
    import struct

    from unikeras.workers._line import Line

    line = next(found for found in gc.get_objects() if isinstance(found, Line))
    line._end.setblocking(True)
    if raw is None:
        length = len(content) if length is None else length
        raw = struct.pack("!4s8sQQQ", b"ukw1", kind, os.getpid(), 1, length) + content
    line._end.sendall(raw)
    time.sleep(60)


HOSTILE = {
    "other bytes": {"raw": b"x" * 1000},
    "a length of 2**62": {"length": 2**62},
    "a length of 2**64 - 1": {"length": 2**64 - 1},
    "an unknown kind": {"kind": b"nonsense"},
    "an error that is no pickle": {"kind": b"raised", "content": b"\x80\x05garbage"},
    "an error of other parts": {"kind": b"raised", "content": b"\x80\x04]."},
    "a result that is no pickle": {"content": b"\x80\x05garbage"},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_answer_that_is_none_is_a_worker_error(name):
    with pytest.raises(WorkerError, match="answers") as caught:
        workers.call(None, answers, (), HOSTILE[name], timeout=30)
    assert not isinstance(caught.value, WorkerTimeout)
    workers.shutdown()
    assert workers.call(None, len, ("abc",)) == 3


def test_an_answer_that_is_long_and_never_comes_costs_no_memory(run_script):
    printed = run_script("""
        import resource
        from pathlib import Path
        from unikeras import workers
        from unikeras.errors import WorkerTimeout
        def announces():
            import gc, os, struct, time
            from unikeras.workers._line import Line
            line = next(found for found in gc.get_objects() if isinstance(found, Line))
            line._end.send(struct.pack("!4s8sQQQ", b"ukw1", b"returned", os.getpid(), 2, 2**39))
            time.sleep(60)
        workers.call(None, len, ("",))
        try:
            workers.call(None, announces, timeout=0.5)
        except WorkerTimeout:
            status = Path("/proc/self/status")  # Linux counts the test's own memory into a child's ru_maxrss
            lines = status.read_text().splitlines() if status.exists() else []
            peak = next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), None)
            print((peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) < 2**20)
    """)
    assert printed == "True\n"


def test_what_a_call_left_on_the_line_is_not_the_next_answer():
    def leaves():
        import gc
        import pickle
        import struct

        from unikeras.workers._line import Line

        line = next(found for found in gc.get_objects() if isinstance(found, Line))
        late = pickle.dumps("of nobody")
        line._end.send(struct.pack("!4s8sQQQ", b"ukw1", b"returned", os.getpid(), 7, len(late)) + late)
        return "first"

    assert workers.call(None, leaves) == "first"
    assert workers.call(None, str.upper, ("second",)) == "SECOND"


@pytest.mark.parametrize("end", ["returns", "raises"])
def test_a_fork_of_the_worker_never_answers(end, tmp_path):
    def forks(end, done):
        if os.fork() == 0:
            time.sleep(0.3)
            done.write_text("forked\n")
            if end == "raises":
                raise RuntimeError("of the fork")
            return "the fork's"
        return "first"

    def second(done):
        while not done.exists():
            time.sleep(0.01)
        time.sleep(0.2)
        return "second"

    done = tmp_path / "done"
    assert workers.call(None, forks, (end, done)) == "first"
    assert workers.call(None, second, (done,), timeout=30) == "second"


def test_the_exit_code_of_a_fork_of_the_worker_is_its_own():
    def codes():
        found = []
        for kind in ("returns", "raises", "exits"):
            if (pid := os.fork()) == 0:
                if kind == "raises":
                    raise RuntimeError("of the fork")
                if kind == "exits":
                    raise SystemExit(3)
                return None
            found.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        return found

    assert workers.call(None, codes) == [0, 1, 3]


def test_a_fork_of_the_owner_in_the_middle_of_a_call_is_told(run_script):
    printed = run_script("""
        import os, signal, time
        from unikeras import workers
        from unikeras.errors import WorkerError
        def slow():
            time.sleep(0.8)
            return "the parent's"
        child = []
        signal.signal(signal.SIGALRM, lambda *_: child.append(os.fork()))
        workers.call(None, len, ("",))
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        try:
            answer = workers.call(None, slow)
        except WorkerError as error:
            assert child == [0], error
            assert "forked while slow ran" in str(error), error
            assert workers.call(None, len, ("abc",)) == 3
            workers.shutdown()
            os._exit(0)
        print(answer, os.waitpid(child[0], 0)[1])
    """)
    assert printed == "the parent's 0\n"


def escape(folder, then):
    """Start processes in sessions of their own, one of them without a living parent, and go on in some way."""
    own = subprocess.Popen(["sleep", "60"], start_new_session=True)
    inside, outside = os.pipe()
    if (pid := os.fork()) == 0:
        os.setsid()
        if (orphan := os.fork()) == 0:
            os.execvp("sleep", ["sleep", "60"])
        os.write(outside, str(orphan).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    orphan = int(os.read(inside, 100))
    (folder / "pids").write_text(f"{os.getpid()} {own.pid} {orphan}\n")
    if then == "exits":
        os._exit(3)
    if then == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if then == "waits":
        time.sleep(60)


@pytest.mark.parametrize("then", ["waits", "exits", "is killed", "returns"])
def test_what_left_its_session_ends_with_the_worker(tmp_path, then):
    if then == "returns":
        workers.call(None, escape, (tmp_path, then))
        workers.shutdown()
    else:
        with pytest.raises(WorkerTimeout if then == "waits" else WorkerDied):
            workers.call(None, escape, (tmp_path, then), timeout=1 if then == "waits" else 30)
    for pid in (tmp_path / "pids").read_text().split():
        assert_gone(int(pid))


def test_what_left_its_session_ends_when_the_owner_is_killed(tmp_path, start_script):
    import inspect

    code = f"import os, pathlib, signal, subprocess, time\nfrom unikeras import workers\n{inspect.getsource(escape)}"
    owner = start_script(f"{code}\nworkers.call(None, escape, (pathlib.Path({str(tmp_path)!r}), 'waits'))")
    pids = wait_for(tmp_path / "pids").split()
    owner.kill()
    owner.wait()
    for pid in pids:
        assert_gone(int(pid))


def test_a_guardian_that_is_killed_takes_the_worker_with_it(tmp_path):
    def tells(folder):
        (folder / "pids").write_text(f"{os.getppid()} {os.getpid()}\n")
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)

    with pytest.raises(WorkerDied, match="SIGKILL"):
        workers.call(None, tells, (tmp_path,), timeout=30)
    for pid in (tmp_path / "pids").read_text().split():
        assert_gone(int(pid))


def test_the_timeout_covers_the_sending():
    worker = workers.call(None, os.getpid)
    os.kill(worker, signal.SIGSTOP)
    with pytest.raises(WorkerTimeout):
        workers.call(None, len, (b"x" * 10_000_000,), timeout=0.5)
    assert_gone(worker)


def test_the_timeout_covers_the_receiving():
    def half(length):
        answers(length=length, content=b"x" * 10)

    with pytest.raises(WorkerTimeout):
        workers.call(None, half, (1000,), timeout=0.7)


def test_a_deep_argument_and_a_deep_result_are_named():
    def deep():
        found = []
        for _ in range(100_000):
            found = [found]
        return found

    with pytest.raises(ArgumentValueError, match="len is nested too deeply"):
        workers.call(None, len, (deep(),))
    with pytest.raises(RemoteError):
        workers.call(None, deep)
    assert workers.call(None, len, ("abc",)) == 3


class Interrupt(BaseException):
    """What a signal handler raises here."""


def test_signals_in_calls_leave_workers_usable():
    """Some come while the process starts, some while it works, some while it is stopped because of the one before."""
    rng, armed, raised = random.Random(1), True, 0

    def handler(*_):
        nonlocal raised
        if armed:
            raised += 1
            signal.setitimer(signal.ITIMER_REAL, rng.choice([0, 0.0005, 0.005]))  # sometimes a second one
            raise Interrupt

    seen, before = set(), signal.signal(signal.SIGALRM, handler)
    try:
        while raised < 50 * PART:
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, rng.choice([0.002, 0.02, 0.3]) * rng.random())
                seen.add(workers.call(None, os.getpid))
                time.sleep(0.1)
            except Interrupt:
                pass
            finally:
                armed = False
            assert uk.workers.call(None, str.upper, ("a",), timeout=60) == "A"
            seen.add(workers.call(None, os.getpid))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    workers.shutdown()
    for pid in seen:
        assert_gone(pid)

"""Workers that are slow or die, and that no process is ever left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time

import pytest
from helpers.processes import assert_gone, is_running, wait_for

import unikeras as uk
from unikeras import workers
from unikeras.errors import WorkerDied, WorkerTimeout


def test_timeout_ends_the_process_and_what_it_started(here, tmp_path):
    def f(folder):
        child = subprocess.Popen(["sleep", "60"])
        (folder / "pids").write_text(f"{os.getpid()} {child.pid}\n")
        time.sleep(60)

    with pytest.raises(WorkerTimeout, match=r"f did not return from the \w+ worker in time; it was stopped"):
        uk.run_on(here, f, tmp_path, timeout=2)
    for pid in (tmp_path / "pids").read_text().split():
        assert_gone(int(pid))
    assert uk.run_on(here, len, "abc") == 3


def test_timeout_covers_the_wait_for_another_call(here, tmp_path):
    def f(began):
        began.write_text("now\n")
        time.sleep(2)

    busy = threading.Thread(target=uk.run_on, args=(here, f, tmp_path / "began"))
    busy.start()
    wait_for(tmp_path / "began")
    with pytest.raises(WorkerTimeout, match="is busy with another call; len never began"):
        uk.run_on(here, len, "abc", timeout=0.1)
    busy.join()  # and the other call was not disturbed


@pytest.mark.parametrize(
    ("f", "how", "code"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "was killed by SIGKILL", -9),
        (lambda: os.abort(), "was killed by SIGABRT", -6),
        (lambda: os._exit(3), "exited with code 3", 3),
    ],
    ids=["kill", "abort", "exit"],
)
def test_death_is_told_and_the_next_call_works(here, f, how, code):
    with pytest.raises(WorkerDied, match=f"{how}.*; the next call starts a fresh one") as caught:
        uk.run_on(here, f)
    assert caught.value.exit_code == code
    assert uk.run_on(here, len, "abc") == 3


def test_death_is_noticed_while_a_grandchild_holds_the_line(here):
    def f():
        if os.fork() == 0:
            time.sleep(60)
        os._exit(3)

    with pytest.raises(WorkerDied, match="exited with code 3"):
        uk.run_on(here, f, timeout=30)


def test_a_worker_that_died_between_calls_is_replaced(here):
    pid = uk.run_on(here, os.getpid)
    os.kill(pid, signal.SIGKILL)
    assert_gone(pid)
    assert uk.run_on(here, len, "abc") == 3


def test_ctrl_c_while_the_process_starts_leaves_none(here, monkeypatch):
    started = []

    def interrupted(*args, start=subprocess.Popen, **kwargs):
        started.append(start(*args, **kwargs))
        raise KeyboardInterrupt

    workers.shutdown()
    monkeypatch.setattr(subprocess, "Popen", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:  # a traceback that is kept keeps the connection
        uk.run_on(here, len, "")
    assert caught.tb is not None
    assert started[0].wait(10) == -signal.SIGKILL
    monkeypatch.undo()
    assert uk.run_on(here, len, "abc") == 3


def test_shutdown_ends_the_workers(here):
    pid = uk.run_on(here, os.getpid)
    workers.shutdown()
    assert_gone(pid)
    assert uk.run_on(here, os.getpid) != pid


BUSY = """
    import os, pathlib, subprocess, sys, time, unikeras as uk

    def f(kind):
        child = subprocess.Popen(["sleep", "60"])
        pathlib.Path("pids").write_text(f"{os.getpid()} {child.pid}\\n")
        if kind == "sleep":
            time.sleep(60)
        if kind == "python":
            while True:
                pass
        if kind == "C":
            3 ** 10 ** 9  # holds the interpreter's lock all the time

    uk.run_on(uk.backends.available()[0], f, KIND)
    if KIND == "idle":
        time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["idle", "sleep", "python", "C"])
def test_worker_ends_when_its_owner_is_killed(tmp_path, kind, start_script):
    end_of_owner_ends_all(tmp_path, kind, start_script)


@pytest.mark.parametrize("kind", ["idle", "sleep", "python", "C"])
def test_worker_ends_when_its_owner_is_killed_without_the_help_of_linux(tmp_path, kind, start_script):
    (tmp_path / "ctypes.py").touch()  # shadows the module that knows of prctl
    end_of_owner_ends_all(tmp_path, kind, start_script)


def end_of_owner_ends_all(tmp_path, kind, start_script):
    owner = start_script(BUSY.replace("KIND", repr(kind)))
    pids = wait_for(tmp_path / "pids").split()
    time.sleep(0.2)
    assert all(is_running(int(pid)) for pid in pids)
    owner.kill()
    owner.wait()
    for pid in pids:
        assert_gone(int(pid))


@pytest.mark.parametrize("kind", ["idle", "sleep", "python"])
def test_ctrl_c_leaves_no_process(tmp_path, kind, start_script):
    code = BUSY.replace("KIND", repr(kind))
    owner = start_script(code, start_new_session=True, stderr=subprocess.PIPE)
    pids = wait_for(tmp_path / "pids").split()
    time.sleep(0.2)
    os.killpg(owner.pid, signal.SIGINT)
    _, errors = owner.communicate(timeout=30)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    for pid in pids:
        assert_gone(int(pid))


def test_worker_ends_with_the_interpreter(tmp_path, run_script):
    run_script(BUSY.replace('KIND == "idle"', "False").replace("KIND", "'idle'"))
    for pid in wait_for(tmp_path / "pids").split():
        assert_gone(int(pid))


def test_worker_ends_with_its_owner_though_a_fork_lives_on(tmp_path, start_script):
    code = """
        import os, pathlib, time, unikeras as uk
        pid = uk.run_on(uk.backends.available()[0], os.getpid)
        fork = os.fork()
        if fork:
            pathlib.Path("pids").write_text(f"{pid} {fork}\\n")
        time.sleep(60)
    """
    owner = start_script(code)
    worker, fork = map(int, wait_for(tmp_path / "pids").split())
    owner.kill()
    owner.wait()
    assert_gone(worker)
    os.kill(fork, signal.SIGKILL)


def test_nested_workers_end_with_the_first_owner(tmp_path, start_script):
    code = """
        import os, pathlib, time, unikeras as uk
        name = uk.backends.available()[0]

        def inner():
            pathlib.Path("pids").write_text(f"{os.getpid()} {os.getppid()}\\n")
            time.sleep(60)

        uk.run_on(name, uk.run_on, name, inner)
    """
    owner = start_script(code)
    pids = wait_for(tmp_path / "pids").split()
    owner.kill()
    owner.wait()
    for pid in pids:
        assert_gone(int(pid))

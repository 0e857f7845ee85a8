"""Threads that read ahead: errors, interruptions and forks."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time

import numpy as np
import pytest

import unikeras as uk
from unikeras.errors import DatasetError

X = np.arange(40)


def _threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("uk.data")]


def _fail_at(number):
    def fail(x):
        if x == number:
            raise RuntimeError("broken")
        return x

    return uk.data.from_arrays(X).map(fail).batch(4).prefetch(3)


def test_an_error_is_raised_where_its_batch_is_due():
    source = _fail_at(21)
    seen = []
    with pytest.raises(
        DatasetError, match=r"map\(fail\) failed at example 21 of arrays: RuntimeError: broken"
    ):
        seen.extend(source)
    assert len(seen) == source.state["batch"] == 5
    assert not _threads()


def test_leaving_an_iteration_ends_its_threads():
    source = uk.data.from_arrays(X).batch(4).prefetch(3)
    for _ in source:
        assert _threads()
        break
    assert not _threads()
    iterator = iter(source)
    next(iterator)
    iterator.close()
    assert not _threads()
    list(source)
    assert not _threads()


def test_threads_work_side_by_side_and_not_far_ahead():
    asked = []
    both = threading.Barrier(2)

    def meet(x):
        asked.append(int(x))
        if x < 2:
            both.wait(30)  # passes only where two threads are at work
        return x

    source = uk.data.from_arrays(X).map(meet).batch(1).prefetch(2)
    iterator = iter(source)
    next(iterator)
    next(iterator)
    time.sleep(0.05)
    assert len(asked) <= 2 + 2 + 2
    iterator.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")
def test_a_fork_goes_on_with_an_iteration():
    iterator = iter(uk.data.from_arrays(X).batch(4).prefetch(2))
    first = next(iterator)
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        rest = [batch.tolist() for batch in iterator]
        os._exit(0 if len(rest) == 9 and rest[0] == [4, 5, 6, 7] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert first.tolist() == [0, 1, 2, 3]
    assert len(list(iterator)) == 9


def test_ctrl_c_leaves_at_once(start_script):
    process = start_script(
        """
        import time
        import numpy as np
        import unikeras as uk
        source = uk.data.from_arrays(np.arange(100_000)).map(lambda x: time.sleep(0.002) or x).prefetch(2)
        print("ready", flush=True)
        for batch in source:
            pass
        """,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert errors.rstrip().endswith("KeyboardInterrupt")

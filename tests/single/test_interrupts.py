"""Ctrl-C between any two instructions leaves stores and sessions in working order, for every thread."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time

import pytest
from helpers.processes import Interrupt, in_another_thread, interrupted_at
from helpers.recurrence import Gru, random_turns

from unikeras.memory import MemoryStore, Sessions, SQLiteStore

# A tenth of the interrupts that a long run takes: UNIKERAS_TEST_INTERRUPTS=1.
PART = float(os.environ.get("UNIKERAS_TEST_INTERRUPTS", "0.1"))


def versions_of(store):
    return {name: row.version for name, row in store.read(["a", "b"]).items()}


def turn_of(store):
    """A read, and a write of two sessions, of which both are written or none."""
    versions = versions_of(store)
    store.write({name: (versions.get(name, 0), b"x") for name in ("a", "b")})


def assert_usable(store, by=in_another_thread):
    versions = by(lambda: versions_of(store))
    assert len(set(versions.values())) <= 1, "one session of the call was written and the other not"
    written = by(lambda: store.write({name: (versions.get(name, 0), b"y") for name in ("a", "b")}))
    assert set(written) == {"a", "b"}


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_an_interrupt_before_any_instruction_leaves_a_store_usable(tmp_path, kind):
    store = MemoryStore() if kind == "memory" else SQLiteStore(tmp_path / "memory.db", synchronous="normal")
    other = store if kind == "memory" else SQLiteStore(tmp_path / "memory.db", busy_timeout=1)
    step, instruction = (1, 1) if PART >= 1 else ({"memory": 3, "sqlite": 11}[kind], 1)
    while interrupted_at(instruction, lambda: turn_of(store)):
        assert_usable(other, by=lambda work: work())  # first: the store itself would clean up after itself
        assert_usable(store)
        instruction += step
    assert instruction > 300
    store.close()
    other.close()


def test_an_interrupt_before_any_instruction_of_a_turn_leaves_the_session_free():
    model, turn = Gru(), random_turns(1)[0]
    chats = Sessions(model, store=MemoryStore())
    step, instruction = (1, 1) if PART >= 1 else (31, 1)
    while interrupted_at(instruction, lambda: chats.step("alice", turn)):
        in_another_thread(lambda: chats.step("alice", turn))
        instruction += step
    assert instruction > 1000


@pytest.mark.parametrize("opening", [True, False])
def test_an_interrupt_while_a_file_is_opened_or_closed(tmp_path, opening):
    path, instruction = tmp_path / "memory.db", 1

    def work():
        if opening:
            SQLiteStore(path, synchronous="normal")
        else:
            store.close()

    while True:
        store = None if opening else SQLiteStore(path, synchronous="normal")
        if not interrupted_at(instruction, work):
            break
        del store
        with SQLiteStore(path, synchronous="normal", busy_timeout=1) as after:
            assert_usable(after, by=lambda work: work())
        instruction += 29 if PART < 1 else 3


def test_an_interrupt_around_a_fork_leaves_both_sides_usable(tmp_path, monkeypatch):
    """The process forks in any case: what Python cannot raise there is reported, and the store is whole."""
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    store = SQLiteStore(tmp_path / "memory.db", synchronous="normal", busy_timeout=2)
    store.write(dict.fromkeys(("a", "b"), (0, b"x")))

    def fork():
        if (pid := os.fork()) == 0:
            sys.settrace(None)
            code = 1
            try:
                assert_usable(store, by=lambda work: work())
                code = 0
            finally:
                os._exit(code)
        codes.append(os.waitpid(pid, 0)[1])

    codes, instruction = [], 1
    while interrupted_at(instruction, fork):
        in_another_thread(lambda: assert_usable(store, by=lambda work: work()))
        instruction += 7 if PART >= 1 else 61
    assert len(codes) > 5
    assert set(codes) == {0}


def test_threads_that_fork_at_once_leave_stores_usable(run_script):
    printed = run_script("""
        import os, sys, threading, time
        from unikeras.memory import MemoryStore, SQLiteStore
        stores, errors, forks = [SQLiteStore("a.db"), MemoryStore(), SQLiteStore("b.db")], [], []
        sys.unraisablehook = lambda found: errors.append(repr(found.exc_value))
        end = time.monotonic() + 0.8
        def fork():
            while time.monotonic() < end:
                if (pid := os.fork()) == 0:
                    os._exit(0)
                os.waitpid(pid, 0)
                forks.append(pid)
        def use():
            while time.monotonic() < end:
                SQLiteStore("c.db").read(["a"])  # new ones as well
                for store in stores:
                    store.write({f"{len(forks)}": (0, b"x")})
        threads = [threading.Thread(target=f, daemon=True) for f in (fork, fork, fork, use)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        done = [store.write({"last": (0, b"x")}) for store in stores]
        print(len(forks) > 5, [thread.is_alive() for thread in threads], errors, len(done))
    """)
    assert printed.split("\n")[0] == "True [False, False, False, False] [] 3"


def interrupted_by_signals(count, longest, work):
    """Do some work again and again while a signal handler raises, at some moment within it, so many times."""
    rng, armed, raised = random.Random(1), False, 0

    def handler(*_):
        nonlocal armed, raised
        if armed:
            armed, raised = False, raised + 1
            raise Interrupt

    before = signal.signal(signal.SIGALRM, handler)
    try:
        while raised < count:
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, rng.uniform(2e-6, longest))
                work()
            except Interrupt:
                pass
            finally:
                armed = False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# Python drops an exception of a signal that arrives in the callback of a weak reference, and says so.
@pytest.mark.filterwarnings("ignore:Exception ignored in.*_remove:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("kind", "count", "longest"),
    [("memory", 50_000, 6e-5), ("session", 50_000, 1e-4), ("sqlite", 2_000, 3e-4)],
)
def test_signals_leave_stores_and_sessions_usable(tmp_path, kind, count, longest):
    store = SQLiteStore(tmp_path / "memory.db", synchronous="normal") if kind == "sqlite" else MemoryStore()
    turns, stop, beside = Sessions(Gru(), store=MemoryStore())._locks, threading.Event(), []

    def work():
        if kind == "session":
            turns.run(["a", "b"], lambda: None)
        else:
            turn_of(store)

    def another():  # that is never interrupted, and needs the same again and again
        while not stop.is_set():
            work()
            beside.append(1)
            stop.wait(0.001)

    thread = threading.Thread(target=another, daemon=True)
    thread.start()
    interrupted_by_signals(int(count * PART), longest, work)
    deadline = time.monotonic() + 60
    while len(beside) <= 10 and time.monotonic() < deadline:  # a busy disk gives the other thread few turns
        interrupted_by_signals(10, longest, work)
    done = len(beside)
    in_another_thread(work)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert done > 10
    if kind != "session":
        assert_usable(store)
    store.close()

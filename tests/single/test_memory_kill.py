"""A writer is killed two hundred times, and eight write at once for seconds; nothing that was told is lost."""

from __future__ import annotations

import json
import os

import pytest

# The seconds that eight processes share a store; more in a long run.
SECONDS = float(os.environ.get("UNIKERAS_TEST_MEMORY_SECONDS", "5"))

# A blob says which session and turn it is of, and its own checksum: a torn one, or another's, is seen.
COMMON = """
import json, os, random, signal, sys, time, zlib
from unikeras.memory import SQLiteStore

NAMES = [f"session {n}" for n in range(12)]
GONE = 0

def blob(name, turn):
    body = f"{name}:{turn}:".encode() + bytes([turn % 251]) * (turn * 37 % 9000)
    return zlib.crc32(body).to_bytes(4, "little") + body

def turn_of(name, blob):
    assert zlib.crc32(blob[4:]) == int.from_bytes(blob[:4], "little"), "torn"
    found, turn, _ = blob[4:].split(b":", 2)
    assert found.decode() == name, "of another session"
    return int(turn)
"""

KILLED = (
    COMMON
    + """
def write_for_ever(path, say, seed):
    rng, store = random.Random(seed), SQLiteStore(path, synchronous=SYNCHRONOUS)
    while True:
        chosen = rng.sample(NAMES, rng.randint(1, 3))
        rows = store.read(chosen)
        if rng.random() < 0.1:
            say("trying", dict.fromkeys(chosen, GONE))
            store.delete(chosen)
        else:
            todo = {one: turn_of(one, rows[one].blob) + 1 if one in rows else 1 for one in chosen}
            say("trying", todo)
            new = store.write(
                {one: (rows[one].version if one in rows else 0, blob(one, turn)) for one, turn in todo.items()}
            )
            assert set(new) == set(chosen)
        say("done", {})

def killed_after(path, seconds, seed):
    inside, out = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(inside)
            write_for_ever(path, lambda *what: os.write(out, (json.dumps(what) + "\\n").encode()), seed)
        finally:
            os._exit(1)
    os.close(out)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status), "the writer failed by itself"
    with os.fdopen(inside) as said:
        return [json.loads(line) for line in said]

rng, counts = random.Random(1), {"turns": 0, "in the air": 0, "of them written": 0}
for round_ in range(ROUNDS):
    if round_ % 20 == 0:  # a kill may fall into the creation of the file as well
        path, told, versions = f"memory {round_}.db", dict.fromkeys(NAMES, GONE), dict.fromkeys(NAMES, 0)
    trying = {}
    for what, turns in killed_after(path, rng.uniform(0, 0.06), round_):
        if what == "done":
            told.update(trying)
            counts["turns"] += 1
        trying = turns
    store = SQLiteStore(path)
    rows = store.read(NAMES)
    assert store._open_connection().execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    store.close()
    found = {name: turn_of(name, rows[name].blob) if name in rows else GONE for name in NAMES}
    # Exactly what was acknowledged; what was in the air when the kill came is there whole, or not at all.
    assert found in (told, told | trying), (round_, trying, found, told)
    counts["in the air"] += bool(trying)
    counts["of them written"] += bool(trying) and found == told | trying
    for name, row in rows.items():
        same = found[name] == told[name]
        assert row.version > versions[name] or (same and row.version == versions[name]), "a version fell"
        versions[name] = row.version
    told = found
print(json.dumps(counts))
"""
)

TOGETHER = (
    COMMON
    + """
# Each process takes turns, and writes down which versions and turns it was given.
def work(path, number):
    rng, store, mine = random.Random(number), SQLiteStore(path), []
    end, tried = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        left = set(rng.sample(NAMES, rng.randint(1, 3)))
        while left:
            rows = store.read(left)
            turns = {one: turn_of(one, rows[one].blob) + 1 if one in rows else 1 for one in left}
            new = store.write(
                {one: (rows[one].version if one in rows else 0, blob(one, turn)) for one, turn in turns.items()}
            )
            mine += [(name, version, turns[name]) for name, version in new.items()]
            left -= set(new)
            tried += 1
        if rng.random() < 0.02:
            assert len(store) <= len(NAMES) and set(store.ids()) <= set(NAMES)
    with open(f"{path} {number}", "w") as out:
        json.dump(mine, out)

path, children = "memory.db", []
for number in range(8):
    if (pid := os.fork()) == 0:
        code = 1
        try:
            work(path, number)
            code = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            os._exit(code)
    children.append(pid)
assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
given = sorted(tuple(one) for number in range(8) for one in json.load(open(f"{path} {number}")))
rows = SQLiteStore(path).read(NAMES)
for name in NAMES:
    mine = [(version, turn) for session, version, turn in given if session == name]
    versions, turns = zip(*mine)
    assert len(set(versions)) == len(versions), "two writes of one version"
    assert list(turns) == list(range(1, len(turns) + 1)), "a turn was lost, or counted twice"
    assert turn_of(name, rows[name].blob) == len(turns)
    assert rows[name].version == versions[-1]
print(json.dumps({"turns": len(given)}))
"""
)


@pytest.mark.parametrize("synchronous", ["full", "normal"])
def test_a_killed_writer_loses_nothing_that_it_was_told(run_script, synchronous):
    """A hundred kills each; the process goes, the machine stays."""
    printed = run_script(f"ROUNDS, SYNCHRONOUS = 100, {synchronous!r}\n{KILLED}")
    counts = json.loads(printed)
    assert counts["turns"] > 100
    assert counts["in the air"] > 10


def test_eight_processes_share_a_store(run_script):
    counts = json.loads(run_script(f"SECONDS = {SECONDS}\n{TOGETHER}"))
    assert counts["turns"] > 8

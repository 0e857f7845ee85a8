"""What sessions cost: writes of a store against bare SQLite, and memory against the number of sessions.

python benchmarks/memory.py [writes flat batched]

`writes`: SQLiteStore's writes per second (a state of 4 kB, synchronous=FULL) over those of bare upserts of the same
bytes in the same mode, interleaved; the median ratio of the rounds. `flat`: what a fresh process grows by while it
lists all sessions of a store, counts them and steps some, with 1,000 and with 100,000 on the disk. `batched`:
one call for a turn of 64 sessions over 64 calls for one each, in a SQLite file, with the backend of KERAS_BACKEND.
Read ratios and differences: rates depend on the disk.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import unikeras as uk
from unikeras._specs.state_bytes import pack
from unikeras._specs.states import StateSpec

ROUNDS, WRITES, SESSIONS = 15, 100, 20
SIZES = (1_000, 100_000)
UNITS = 1_000


class Decay:
    """Stands for a model with a state of 4 kB that costs nothing to run."""

    states = (StateSpec("decay", "h", (UNITS,), "float32"),)
    fingerprint = "4b" * 32
    sequence_outputs = (False,)

    def initial_state(self, batch_size):
        return {"decay": {"h": np.zeros((batch_size, UNITS), "float32")}}

    def __call__(self, x, state):
        h = state["decay"]["h"] / 2 + x.sum(axis=(1, 2))[:, None]
        return h[:, :1], {"decay": {"h": h}}


def row(seed: int = 0) -> bytes:
    state = np.random.default_rng(seed).normal(size=(1, UNITS)).astype("float32")
    return pack(Decay.states, Decay.fingerprint, [state])


def bare(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE sessions (id BLOB PRIMARY KEY, blob BLOB)")
    return connection


def writes(folder: Path) -> None:
    """Print the two rates and their ratio."""
    names = [f"session {n}" for n in range(SESSIONS)]
    store, versions = uk.memory.SQLiteStore(folder / "store.db"), dict.fromkeys(names, 0)
    # Bytes that change: SQLite writes nothing where a row stays as it was.
    blobs = itertools.cycle([row(seed) for seed in range(SESSIONS + 1)])
    upsert = "INSERT INTO sessions VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET blob = excluded.blob"

    def ours(name):
        versions.update(store.write({name: (versions[name], next(blobs))}))

    with contextlib.closing(bare(folder / "bare.db")) as connection:

        def theirs(name):
            connection.execute(upsert, (name.encode(), next(blobs)))

        rates = [[per_second(run, names) for run in (ours, theirs)] for _ in range(ROUNDS)]
    store.close()
    mine, plain = (statistics.median(column) for column in zip(*rates, strict=True))
    ratio = statistics.median(one / other for one, other in rates)
    print(
        f"writes of {len(next(blobs))} bytes: {mine:.0f}/s, bare SQLite {plain:.0f}/s, ratio {ratio:.2f} (goal: 0.5)"
    )


def per_second(write, names) -> float:
    start = time.perf_counter()
    for number in range(WRITES):
        write(names[number % len(names)])
    return WRITES / (time.perf_counter() - start)


def flat(folder: Path) -> None:
    """Print what a process grows by, for each number of sessions."""
    for size in SIZES:
        path = folder / f"{size}.db"
        fill(path, size)
        command = [sys.executable, __file__, "--grow", str(path)]
        grown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        print(f"{size:7,} sessions, {path.stat().st_size / 2**20:5.0f} MiB: {grown}")


def fill(path: Path, size: int) -> None:
    blob = row()
    with uk.memory.SQLiteStore(path, synchronous="normal") as store:
        for start in range(0, size, 1000):
            store.write(dict.fromkeys((f"session {n}" for n in range(start, start + 1000)), (0, blob)))


def grow(path: str) -> None:
    """Print by how much this process grows while it uses a store."""
    turn = np.ones((1, 1, 1))
    with uk.memory.Sessions(Decay(), store="memory:") as chats:  # what any session needs is there then
        chats.step("warm", turn)
    peak()
    before, start = peak(), time.perf_counter()
    with uk.memory.Sessions(Decay(), store=path) as chats:
        listed = sum(1 for _ in chats)
        assert listed == len(chats)
        for number in range(0, listed, listed // 100):
            chats.step(f"session {number}", turn)
    seconds = time.perf_counter() - start
    print(f"{(peak() - before) / 2**10:.1f} MiB more, {seconds:.1f} s for a list, a count and 100 turns")


def peak() -> int:
    """Return the most memory that this process had since the last call, in KiB; Linux alone tells."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what there is now
    assert found
    return int(found[1])


def batched(folder: Path) -> None:
    """Print what 64 turns cost in one call and in 64."""
    import keras

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            layers.Embedding(256, 64),
            layers.LSTM(128, return_sequences=True),
            layers.LSTM(128, return_sequences=True),
            layers.Dense(256),
        ]
    )
    names = [f"session {number}" for number in range(64)]
    rng = np.random.default_rng(0)
    for lengths in ([1] * 64, [16] * 64, rng.integers(1, 33, 64)):
        x = {name: rng.integers(0, 256, (1, length)) for name, length in zip(names, lengths, strict=True)}
        with uk.memory.Sessions(model, store=folder / f"{lengths[0]} {sum(lengths)}.db") as chats:
            pairs = [(seconds(chats.step, x), seconds(each, chats, x)) for _ in range(8)][
                1:
            ]  # the first compiles
        together, alone = (1e3 * statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(one / other for one, other in pairs)
        print(
            f"{uk.backend()}, {min(lengths)} to {max(lengths)} steps: 64 sessions in one call {together:.0f} ms, "
            f"in 64 calls {alone:.0f} ms, ratio {ratio:.3f} (goal: 0.10)"
        )


def seconds(run, *args) -> float:
    start = time.perf_counter()
    run(*args)
    return time.perf_counter() - start


def each(chats, x):
    for name, turn in x.items():
        chats.step(name, turn)


BENCHMARKS = {"writes": writes, "flat": flat, "batched": batched}


def main() -> None:
    for name in sys.argv[1:] or BENCHMARKS:
        with tempfile.TemporaryDirectory(dir=os.environ.get("UNIKERAS_BENCHMARK_FOLDER")) as folder:
            BENCHMARKS[name](Path(folder))


if __name__ == "__main__":
    grow(sys.argv[2]) if sys.argv[1:2] == ["--grow"] else main()

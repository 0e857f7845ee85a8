"""What a checkpoint costs: `Checkpointer.save` of 100 MB over a plain write of the same bytes with fsync.

python benchmarks/checkpoints.py [folder]

A model of 100 MB is saved under the backend of KERAS_BACKEND, and a plain file is written, flushed and renamed,
in turns; the median ratio of the rounds, plain over checkpoint: 1 is the disk's speed. A restore is timed too.
Read the ratio: rates depend on the disk, and on what else runs there.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np

import unikeras as uk

ROUNDS = 15


def model_of(megabytes: int) -> keras.Model:
    units = 1024
    layers = megabytes * 2**20 // (4 * units * units)
    return keras.Sequential([keras.Input((units,)), *(keras.layers.Dense(units) for _ in range(layers))])


def write_plainly(path: Path, data: bytes) -> None:
    with path.with_suffix(".part").open("wb", buffering=0) as file:
        file.write(data)
        os.fsync(file.fileno())
    path.with_suffix(".part").replace(path)


def seconds(call) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def main(folder: Path) -> None:
    model = model_of(100)
    checkpointer = uk.training.Checkpointer(folder / "run", model=model, keep=1)
    checkpointer.save()
    assert checkpointer.latest is not None
    data = np.random.default_rng(0).bytes(checkpointer.latest.stat().st_size)
    plain, ours = [], []
    for _ in range(ROUNDS):
        plain.append(seconds(lambda: write_plainly(folder / "plain", data)))
        ours.append(seconds(checkpointer.save))
    restores = [seconds(checkpointer.restore) for _ in range(5)]
    ratio = statistics.median(one / other for one, other in zip(plain, ours, strict=True))
    print(
        f"{uk.backend()}: {len(data) / 1e6:.0f} MB, plain {1e3 * statistics.median(plain):.0f} ms, checkpoint "
        f"{1e3 * statistics.median(ours):.0f} ms, ratio {ratio:.2f}; restore {1e3 * statistics.median(restores):.0f} ms"
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as temporary:
        main(Path(temporary))

"""What uk.callbacks.Checkpoint(every_steps=100) costs in fit of the MLP (1,000 steps of 32 rows), and one save.

KERAS_BACKEND=jax python benchmarks/checkpoint_cost.py [rounds]
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from models import CASES, mlp
from timing import measured, ratio

import unikeras as uk

STEPS, EVERY = 1000, 100


def fit(folder: Path | None, x: Any, y: Any) -> Callable[[], Any]:
    """Return a function that trains for one epoch; with a folder, it saves there, each time in a new one."""
    model = uk.Model.from_keras(mlp())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss)

    def run() -> None:
        saving = []
        if folder is not None:
            saving = [uk.callbacks.Checkpoint(tempfile.mkdtemp(dir=folder), every_steps=EVERY, keep=1)]
        model.fit(x, y, batch_size=32, verbose=0, callbacks=saving)

    return run


def main(rounds: int) -> None:
    x, y = CASES["mlp"].data(STEPS)
    with tempfile.TemporaryDirectory() as name:
        _, (saved, plain) = measured([fit(Path(name), x, y), fit(None, x, y)], rounds)
        size = max(path.stat().st_size for path in Path(name).rglob("*.ukckpt"))
    saves = STEPS // EVERY + 2  # the first and the last
    each = (sorted(saved)[rounds // 2] - sorted(plain)[rounds // 2]) / saves
    print(f"{uk.backend()}: fit with Checkpoint(every_steps={EVERY}) / without: {ratio(saved, plain)}")
    print(f"{size / 1e6:.1f} MB a checkpoint, {1e3 * each:.1f} ms each, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)

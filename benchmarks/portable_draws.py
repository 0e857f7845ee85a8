"""What portable random numbers cost: dropout and normal draws, portable and Keras' own, timed in turn.

KERAS_BACKEND=jax python benchmarks/portable_draws.py
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from keras import ops, random
from timing import measured, ratio

import unikeras as uk

SHAPES = {"large": (64, 32, 32, 64), "small": (32, 64)}


def _draws(seed, x):
    return {
        "dropout": lambda: random.dropout(x, 0.3, seed=seed),
        "normal": lambda: random.normal(x.shape, seed=seed),
    }


def _waiting(f):
    return lambda: uk.backends.current().synchronize(f())


def _runs(draw):
    """Return runs of one draw: eager, and compiled in each way that the backend has."""
    compiled = uk.function(draw)
    runs = {"eager": draw, "compiled": compiled}
    if uk.backend() == "tensorflow":
        runs["XLA"] = uk.function(draw, jit_compile=True)
    for run in runs.values():
        run()
    return runs


def main() -> None:
    for size, shape in SHAPES.items():
        x = ops.convert_to_tensor(np.ones(shape, "float32"))
        seed = random.SeedGenerator(7)
        own = {name: _runs(draw) for name, draw in _draws(seed, x).items()}
        with uk.random.portable(7):
            seed = random.SeedGenerator(7)
            portable = {name: _runs(draw) for name, draw in _draws(seed, x).items()}
        for name, runs in own.items():
            for kind, run in runs.items():
                rounds = 6 if size == "large" else 60
                _, (a, b) = measured([_waiting(portable[name][kind]), _waiting(run)], rounds=rounds)
                print(
                    f"{size} {name}, {kind}: {ratio(a, b)}; ms {min(a) * 1e3:.3g} {min(b) * 1e3:.3g}",
                    flush=True,
                )


if __name__ == "__main__":
    print(uk.backend())
    main()

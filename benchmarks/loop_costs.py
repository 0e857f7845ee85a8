"""What fit of a uk.Model costs over a bare uk.function loop, and host memory over 2,000 steps; both of the MLP.

KERAS_BACKEND=jax python benchmarks/loop_costs.py
"""

from __future__ import annotations

import os
import resource
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from models import CASES, mlp
from runs import fit, looped, ours, parts
from timing import measured, ratio

import unikeras as uk


def overhead() -> None:
    x, y = CASES["mlp"].data(500)
    runs = [fit(uk.Model.from_keras(mlp()), x, y), looped(ours(*parts(mlp())), x, y)]
    _, (a, b) = measured(runs, rounds=7)
    print(f"fit of uk.Model / the bare loop, 500 steps of the MLP: {ratio(a, b)}", flush=True)


def memory() -> None:
    x, y = CASES["mlp"].data(20)
    run = looped(ours(*parts(mlp())), x, y)
    seen = []
    for i in range(101):
        run()
        if i % 25 == 0:
            seen.append(_resident_mib())
    print(f"resident MiB after 20, 520, 1020, 1520, 2020 steps: {seen}", flush=True)


def _resident_mib() -> int:
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 2**20


if __name__ == "__main__":
    print(uk.backend())
    overhead()
    memory()

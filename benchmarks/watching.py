"""What TensorBoard costs: fit of the MLP with scalars each 10 steps, over fit without callbacks; in turn.

KERAS_BACKEND=jax python benchmarks/watching.py [rounds]
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from models import CASES, mlp
from timing import clocked, machine, measured, ratio

import unikeras as uk


def main(rounds: int) -> None:
    x, y = CASES["mlp"].data(500)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def fit_with(*make):
        model = uk.Model.from_keras(mlp())
        model.compile("adam", loss)
        return lambda: model.fit(
            x, y, batch_size=64, verbose=0, shuffle=False, callbacks=[one() for one in make]
        )

    with tempfile.TemporaryDirectory() as folder:
        runs = {
            "nothing": fit_with(),
            "TensorBoard(update_freq=10)": fit_with(lambda: uk.callbacks.TensorBoard(folder, update_freq=10)),
            "HistoryFile(every_steps=10)": fit_with(
                lambda: uk.callbacks.HistoryFile(f"{folder}/run.jsonl", every_steps=10)
            ),
        }
        _, times = measured(list(runs.values()), rounds=rounds, clock=clocked)
    print(f"{uk.backend()}, 500 steps of the MLP, load {machine(None)['load']}")
    # On a machine with other work, the processor's time says more than the clock.
    (base_wall, base_cpu), *_ = both = [tuple(zip(*one, strict=True)) for one in times]
    for name, (wall, cpu) in zip(runs, both, strict=True):
        milliseconds = 1000 * statistics.median(wall)
        print(
            f"{name}: {milliseconds:.0f} ms, {ratio(wall, base_wall)} of nothing; "
            f"processor {ratio(cpu, base_cpu)}; fastest {min(wall) / min(base_wall):.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)

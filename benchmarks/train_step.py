"""Train steps against hand-written loops and against Keras' own fit, interleaved in one run.

KERAS_BACKEND=jax python benchmarks/train_step.py [mlp cnn lstm]

Prints, for an MLP, a CNN and an LSTM: milliseconds per step (medians), the ratio of the medians and the median of the
rounds' ratios; fit of uk.Model over the bare uk.function loop for 500 steps of the MLP; host memory over 2,000 steps.
Compile time stands beside, not inside. Read ratios: milliseconds depend on what else the machine does.
"""

from __future__ import annotations

import importlib
import os
import resource
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

import unikeras as uk

BATCH, STEPS, ROUNDS = 64, 10, 30
SYNCHRONIZE = uk.backends.current().synchronize


def mlp() -> keras.Model:
    return keras.Sequential(
        [keras.Input((784,)), layers.Dense(512, "relu"), layers.Dense(512, "relu"), layers.Dense(10)]
    )


def cnn() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(64, "relu"),
            layers.Dense(10),
        ]
    )


def lstm() -> keras.Model:
    return keras.Sequential(
        [keras.Input((28, 28)), layers.LSTM(128, return_sequences=True), layers.LSTM(128), layers.Dense(10)]
    )


def loss_function() -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def ours(model, optimizer, loss_fn, accuracy):
    @uk.function
    def step(x, y):
        with uk.GradientTape() as tape:
            logits = model(x, training=True)
            loss = loss_fn(y, logits)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        accuracy.update_state(y, logits)
        return loss

    return step


def by_hand(model, optimizer, loss_fn, accuracy):
    native = importlib.import_module(f"native.{uk.backend()}")
    return native.training(model, optimizer, loss_fn, accuracy)


def loop(make, training, x, y):
    """Return a function that trains for one round."""
    step = training(
        make(), keras.optimizers.Adam(), loss_function(), keras.metrics.SparseCategoricalAccuracy()
    )

    def run() -> None:
        order = np.random.permutation(len(x))
        for i in range(0, len(x), BATCH):
            rows = order[i : i + BATCH]
            loss = step(x[rows], y[rows])
        SYNCHRONIZE(loss)

    return run


def fit(model, x, y):
    model.compile("adam", loss_function(), metrics=["accuracy"])
    return lambda: model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)


def data(model, steps):
    rng = np.random.default_rng(0)
    shape = (BATCH * steps, *model.input_shape[1:])
    return rng.normal(size=shape).astype("float32"), rng.integers(0, 10, len(range(shape[0])))


def seconds(run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measured(runs, rounds=ROUNDS):
    """Time functions in turn; return the seconds of the first run of each, and of all later ones.

    Each round begins with another function: what ran before one leaves caches and threads as it likes them.
    """
    first = [seconds(run) for run in runs]
    later: list[list[float]] = [[] for _ in runs]
    for i in range(rounds):
        for j in range(len(runs)):
            turn = (i + j) % len(runs)
            later[turn].append(seconds(runs[turn]))
    return first, later


def ratio(times, others) -> str:
    of_medians = statistics.median(times) / statistics.median(others)
    median = statistics.median(a / b for a, b in zip(times, others, strict=True))
    return f"{of_medians:.3f} ({median:.3f})"


def compare(make) -> None:
    x, y = data(make(), STEPS)
    runs = [loop(make, ours, x, y), loop(make, by_hand, x, y), fit(make(), x, y)]
    first, (a, b, c) = measured(runs)
    per_step = "  ".join(f"{1e3 * statistics.median(t) / STEPS:8.2f}" for t in (a, b, c))
    firsts = " ".join(f"{t:.1f}" for t in first)
    print(f"{make.__name__:5s} {per_step}   {ratio(a, b):>15s} {ratio(a, c):>15s}   {firsts}", flush=True)


def overhead() -> None:
    x, y = data(mlp(), 500)
    runs = [fit(uk.Model.from_keras(mlp()), x, y), loop(mlp, ours, x, y)]
    _, (a, b) = measured(runs, rounds=7)
    print(f"fit of uk.Model / the bare loop, 500 steps of the MLP: {ratio(a, b)}", flush=True)


def memory() -> None:
    x, y = data(mlp(), 20)
    run = loop(mlp, ours, x, y)
    seen = []
    for i in range(101):
        run()
        if i % 25 == 0:
            seen.append(_resident_mib())
    print(f"resident MiB after 20, 520, 1020, 1520, 2020 steps: {seen}", flush=True)


def _resident_mib() -> int:
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 2**20


def main() -> None:
    wanted = sys.argv[1:] or ["mlp", "cnn", "lstm"]
    print(
        f"{uk.backend()}: ms per step, batch {BATCH}, Adam, accuracy; ratios of medians (medians of ratios)"
    )
    print("      uk.function  by hand  keras fit      / by hand       / keras fit   first round, s")
    for make in (mlp, cnn, lstm):
        if make.__name__ in wanted:
            compare(make)
    overhead()
    memory()


if __name__ == "__main__":
    main()

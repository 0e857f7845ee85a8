"""A compiled uk.function step against Keras' own fit, interleaved in one run.

KERAS_BACKEND=jax python benchmarks/train_step.py

Prints milliseconds per step (median over rounds) and their ratio for an MLP, a CNN and an LSTM. Compile time
stands beside, not inside. Read ratios; milliseconds depend on what else the machine does.
"""

from __future__ import annotations

import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

import unikeras as uk

BATCH, STEPS, ROUNDS = 64, 40, 5


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


def fit_round(model: keras.Model, x: np.ndarray, y: np.ndarray):
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return lambda: model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)


def loop_round(model: keras.Model, x: np.ndarray, y: np.ndarray):
    optimizer = keras.optimizers.Adam()
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    accuracy = keras.metrics.SparseCategoricalAccuracy()

    @uk.function
    def step(x, y):
        with uk.GradientTape() as tape:
            logits = model(x, training=True)
            loss = loss_fn(y, logits)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        accuracy.update_state(y, logits)
        return loss

    def run() -> None:
        order = np.random.permutation(len(x))
        for i in range(STEPS):
            rows = order[i * BATCH : (i + 1) * BATCH]
            loss = step(x[rows], y[rows])
        uk.backends.current().synchronize(loss)

    return run


def measure(make) -> tuple[float, float, float, float]:
    rng = np.random.default_rng(0)
    model = make()
    x = rng.normal(size=(BATCH * STEPS, *model.input_shape[1:])).astype("float32")
    y = rng.integers(0, 10, len(x))
    runs = [loop_round(model, x, y), fit_round(make(), x, y)]
    first = [_seconds(run) for run in runs]
    rounds = [[_seconds(run) for run in runs] for _ in range(ROUNDS)]
    ours, fit = (1e3 * statistics.median(r[i] for r in rounds) / STEPS for i in (0, 1))
    return ours, fit, first[0], first[1]


def _seconds(run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    print(f"{uk.backend()}: ms per step, batch {BATCH}, Adam, accuracy metric")
    print(f"{'model':6s} {'uk.function':>12s} {'keras fit':>10s} {'ratio':>6s}   first round, s")
    for make in (mlp, cnn, lstm):
        ours, fit, first_ours, first_fit = measure(make)
        print(
            f"{make.__name__:6s} {ours:12.2f} {fit:10.2f} {ours / fit:6.2f}   "
            f"{first_ours:.1f} against {first_fit:.1f}"
        )


if __name__ == "__main__":
    main()

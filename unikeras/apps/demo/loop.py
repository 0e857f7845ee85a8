"""The training loop of the demo: written once, run by every backend in its own process."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import unikeras as uk
from unikeras.apps.demo.data import batch_size, batches
from unikeras.apps.demo.dataset import SEED, Array, Dataset, Split
from unikeras.apps.demo.model import build, predictor
from unikeras.apps.demo.progress import Bar
from unikeras.apps.demo.silence import silence

RATE = 2e-3
# Adam divides by a gradient's magnitude: with Keras' 1e-7, rounding noise in a nearly zero gradient becomes a
# full-sized step, and the backends diverge early.
EPSILON = 1e-4


@dataclass
class Training:
    """The result of one backend.

    Attributes:
        initial: the weights before the first step, as `model.get_weights()`.
        losses: of each step.
        seconds: of each step, until its loss was read; the first includes the compilation.
        train_accuracy: of each epoch, measured while the weights change.
        validation_accuracy: at the end of each epoch, from 0 to 1.
        probabilities: on the test part at the end, (images, classes).
        best: the weights after the first epoch with the highest validation accuracy.
        best_probabilities: their predictions on the test part.
        validation_loss: at the end of each epoch.
        learning_rate: of each step.
    """

    initial: list[Array]
    losses: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    probabilities: Array = field(default_factory=lambda: np.zeros((0, 0)))
    best: list[Array] = field(default_factory=list)
    best_probabilities: Array = field(default_factory=lambda: np.zeros((0, 0)))
    validation_loss: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)

    @property
    def best_epoch(self) -> int:
        """The number, from 0, of the epoch whose weights are the best."""
        return int(np.argmax(self.validation_accuracy))


def train(data: Dataset, epochs: int, weights: list[Array] | None = None) -> Training:
    """Train the demo's model on the current backend; runs in a worker.

    Args:
        data: images; every backend sees the same batches of them in the same order.
        epochs: number of epochs.
        weights: the initial weights; None for new ones, drawn by a seed.
    """
    with silence():
        import keras

    model = build(data.shape, len(data.classes), SEED)
    if weights is not None:
        model.set_weights(weights)
    size = batch_size(len(data.train))
    steps = epochs * (len(data.train) // size)
    schedule = keras.optimizers.schedules.CosineDecay(RATE, steps)
    optimizer = keras.optimizers.Adam(schedule, epsilon=EPSILON)
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    accuracy = keras.metrics.SparseCategoricalAccuracy()

    @uk.function
    def train_step(x: Any, y: Any) -> Any:
        with uk.GradientTape() as tape:
            logits = model(x, training=True)
            loss = loss_fn(y, logits)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        accuracy.update_state(y, logits)
        return loss

    rates = keras.ops.convert_to_numpy(schedule(np.arange(steps)))
    run = Training(initial=model.get_weights(), learning_rate=[float(rate) for rate in rates])
    predict = predictor(model)
    with Bar(uk.backend(), steps) as bar:
        for epoch in range(epochs):
            accuracy.reset_state()
            for index in batches(len(data.train), size, SEED + epoch):
                x, y = data.pixels(data.train.images[index]), data.train.labels[index]
                started = time.perf_counter()
                # Reading the loss waits for the step, so its time is the whole step's.
                run.losses.append(float(keras.ops.convert_to_numpy(train_step(x, y))))
                run.seconds.append(time.perf_counter() - started)
                bar.step(run.losses[-1])
            run.train_accuracy.append(float(accuracy.result()))
            predicted = predict(data.pixels(data.validation.images))
            run.validation_accuracy.append(score(predicted, data.validation))
            run.validation_loss.append(cross_entropy(predicted, data.validation))
            if run.best_epoch == epoch:
                run.best = model.get_weights()
            bar.epoch(run.validation_accuracy[-1])
    run.probabilities = predict(data.pixels(data.test.images))
    model.set_weights(run.best)
    run.best_probabilities = predict(data.pixels(data.test.images))
    return run


def score(probabilities: Array, split: Split) -> float:
    """Return the share of images whose most probable class is the right one."""
    return float(np.mean(probabilities.argmax(axis=-1) == split.labels))


def cross_entropy(probabilities: Array, split: Split) -> float:
    """Return the mean of -log p over the images, where p is the probability of the right class."""
    right = probabilities[np.arange(len(split)), split.labels].astype("float64")
    # A probability may round to 0, whose logarithm is infinite.
    return float(np.mean(-np.log(np.maximum(right, np.finfo("float32").tiny))))

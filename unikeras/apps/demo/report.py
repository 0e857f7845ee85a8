"""The report of a run, as plain data: the content of report.json, and the source of every table and picture."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from statistics import median
from typing import Any

import numpy as np

import unikeras as uk
from unikeras.apps.demo.agreement import loss_agreement, probability_difference, same_predictions
from unikeras.apps.demo.data import batch_size
from unikeras.apps.demo.dataset import SEED, Array, Dataset, Split
from unikeras.apps.demo.interval import wilson
from unikeras.apps.demo.loop import Training, score
from unikeras.errors import WorkerError

SAMPLES = 24
# What the row of a backend holds: numbers, None where its training failed, and curves, then empty.
MEASURED = (
    "test_accuracy",
    "test_interval",
    "best_epoch",
    "best_test_accuracy",
    "ms_per_step",
    "ms_first_step",
    "max_probability_difference",
)
CURVES = ("train_accuracy", "validation_accuracy", "validation_loss", "loss", "learning_rate")


def assemble(data: Dataset, epochs: int, outcomes: Mapping[str, Training | WorkerError]) -> dict[str, Any]:
    """Return the report of what has been trained; the run adds `artifacts`, `failures` and more to `best`.

    Args:
        data: the training data.
        epochs: number of epochs.
        outcomes: by backend, its training or the error that ended it.
    """
    trainings = finished(outcomes)
    probabilities = {name: t.probabilities for name, t in trainings.items()}
    differences = probability_difference(probabilities)
    rows = [
        _failed(name, outcome)
        if isinstance(outcome, WorkerError)
        else _row(name, outcome, data.test, differences[name])
        for name, outcome in outcomes.items()
    ]
    return {
        "unikeras": metadata.version("unikeras"),
        "versions": versions(outcomes),
        "dataset": _describe(data),
        "epochs": epochs,
        "seed": SEED,
        "backends": rows,
        "loss_agreement": loss_agreement({name: t.losses for name, t in trainings.items()}),
        "same_predictions": same_predictions(probabilities),
        "best": best(trainings),
        "artifacts": [],
        "failures": [],
    }


def finished(outcomes: Mapping[str, Training | WorkerError]) -> dict[str, Training]:
    """Return the trainings that finished."""
    return {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, Training)}


def best(trainings: Mapping[str, Training]) -> dict[str, Any] | None:
    """Return backend, epoch (from 1) and validation accuracy of the best weights; the first of equals."""
    if not trainings:
        return None
    name = max(trainings, key=lambda name: max(trainings[name].validation_accuracy))
    epoch = trainings[name].best_epoch
    accuracy = trainings[name].validation_accuracy[epoch]
    return {"backend": name, "epoch": epoch + 1, "validation_accuracy": accuracy}


def judge(probabilities: Array, data: Dataset) -> dict[str, Any]:
    """Evaluate a model's predictions on the test part.

    Returns:
        `test_accuracy`; `test_interval`, the ends of its 95 % interval; `confusion`, counts by
        [true class][predicted class]; `samples`, the positions of images to show, wrong ones first, with
        `label`, `predicted` and `probability`.
    """
    from sklearn.metrics import confusion_matrix

    predicted = probabilities.argmax(axis=-1)
    labels = data.test.labels
    confusion = confusion_matrix(labels, predicted, labels=range(len(data.classes)))
    order = np.argsort(predicted == labels, kind="stable")[:SAMPLES]
    samples = [
        {
            "index": int(i),
            "label": data.classes[labels[i]],
            "predicted": data.classes[predicted[i]],
            "probability": _number(probabilities[i, predicted[i]]),
        }
        for i in order
    ]
    return {**_test(probabilities, data.test), "confusion": confusion.tolist(), "samples": samples}


def versions(backends: Iterable[str]) -> dict[str, str]:
    """Return the versions of the packages used, read without importing them."""
    named = {name: uk.backends.version(name) or "?" for name in backends}
    shared = {name: metadata.version(name) for name in ("unikeras", "keras", "numpy")}
    return {**shared, **named, "python": platform.python_version(), "platform": platform.platform()}


def _test(probabilities: Array, test: Split) -> dict[str, Any]:
    accuracy = score(probabilities, test)
    return {
        "test_accuracy": accuracy,
        "test_interval": list(wilson(round(accuracy * len(test)), len(test))),
    }


def _describe(data: Dataset) -> dict[str, Any]:
    return {
        "name": data.name,
        "classes": list(data.classes),
        "shape": list(data.shape),
        "train": len(data.train),
        "validation": len(data.validation),
        "test": len(data.test),
        "batch_size": batch_size(len(data.train)),
    }


def _row(name: str, training: Training, test: Split, difference: float | None) -> dict[str, Any]:
    return {
        "backend": name,
        "error": None,
        **_test(training.probabilities, test),
        "best_epoch": training.best_epoch + 1,
        "best_test_accuracy": score(training.best_probabilities, test),
        "ms_per_step": _milliseconds(training.seconds[1:]),
        "ms_first_step": _milliseconds(training.seconds[:1]),
        "max_probability_difference": _number(difference),
        "train_accuracy": _numbers(training.train_accuracy),
        "validation_accuracy": training.validation_accuracy,
        "validation_loss": _numbers(training.validation_loss),
        "loss": _numbers(training.losses),
        "learning_rate": training.learning_rate,
    }


def _failed(name: str, error: WorkerError) -> dict[str, Any]:
    return {"backend": name, "error": str(error), **dict.fromkeys(MEASURED), **{key: [] for key in CURVES}}


def _milliseconds(seconds: list[float]) -> float | None:
    return 1000 * median(seconds) if seconds else None


def _number(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _numbers(values: Iterable[float]) -> list[float | None]:
    return [_number(value) for value in values]

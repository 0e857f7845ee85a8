"""How far apart the backends are: in their losses at the start, and in their predictions at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from unikeras.apps.demo.dataset import Array

STEPS, LIMIT = 20, 1e-3


def relative_difference(losses: Mapping[str, Sequence[float]]) -> Array:
    """Return, for each step, the largest difference between two backends relative to the larger loss.

    Args:
        losses: the losses of each backend, by step; longer curves are cut to the shortest.

    Returns:
        (steps,) of float64, NaN where a loss is NaN; empty for fewer than two backends.
    """
    if len(losses) < 2:
        return np.zeros(0)
    steps = min(map(len, losses.values()))
    values = np.array([list(curve)[:steps] for curve in losses.values()], "float64")
    top, bottom = values.max(axis=0), values.min(axis=0)
    scale = np.maximum(np.abs(top), np.abs(bottom))
    with np.errstate(invalid="ignore"):  # infinity against infinity: NaN, which counts as different
        return np.divide(top - bottom, scale, out=np.zeros_like(top), where=scale != 0)


def loss_agreement(losses: Mapping[str, Sequence[float]]) -> dict[str, Any] | None:
    """Compare the losses of the first `STEPS` steps.

    The backends start from equal weights and see equal batches, so they differ only by rounding. Rounding
    grows from step to step, so later steps say nothing about correctness.

    Returns:
        None for fewer than two backends; else `steps`, `limit`, `max_relative_difference`
        (None where a loss is not a number), `worst_pair` and `agree`.
    """
    if len(losses) < 2:
        return None
    first = {name: list(curve)[:STEPS] for name, curve in losses.items()}
    pairs = {
        pair: float(np.max(relative_difference({name: first[name] for name in pair}), initial=0.0))
        for pair in combinations(first, 2)
    }
    # NaN first: it is the worst, and it compares as False with everything.
    worst = max(pairs, key=lambda pair: (not np.isfinite(pairs[pair]), pairs[pair]))
    largest = pairs[worst]
    return {
        "steps": min(map(len, first.values())),
        "limit": LIMIT,
        "max_relative_difference": largest if np.isfinite(largest) else None,
        "worst_pair": list(worst),
        "agree": largest <= LIMIT,
    }


def same_predictions(probabilities: Mapping[str, Array]) -> int | None:
    """Return the number of images for which all backends predict the same class; None for fewer than two backends."""
    if len(probabilities) < 2:
        return None
    classes = np.stack([values.argmax(axis=-1) for values in probabilities.values()])
    return int(np.sum(np.all(classes == classes[0], axis=0)))


def probability_difference(probabilities: Mapping[str, Array]) -> dict[str, float | None]:
    """Return the largest distance of each backend's predicted probabilities from the others'.

    Args:
        probabilities: of each backend on the same images, (images, classes).

    Returns:
        For each backend max |p - q| over the other backends, images and classes; None for a single backend.
    """
    return {
        name: max(
            (float(np.max(np.abs(mine - other))) for key, other in probabilities.items() if key != name),
            default=None,
        )
        for name, mine in probabilities.items()
    }

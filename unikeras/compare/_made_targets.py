"""Seeded targets that a model's losses take."""

from __future__ import annotations

from typing import Any

import numpy as np

from unikeras import backends
from unikeras._keras.variables import is_differentiable
from unikeras.compare._gaps import Array


def make_targets(model: Any, predicted: Any, seed: int) -> Any:
    """Return targets in the structure of a model's outputs; None where an output has no gradients.

    Args:
        model: a compiled `keras.Model`.
        predicted: what it returned.
        seed: different seeds give different values.
    """
    import keras

    outputs = keras.tree.flatten(predicted)
    if not all(is_differentiable(output) for output in outputs):
        return None
    losses = keras.tree.flatten(model.loss)
    if len(losses) != len(outputs):
        losses = (losses * len(outputs))[: len(outputs)] if losses else [None] * len(outputs)
    rng = np.random.default_rng([seed, 1])
    made = [_target(rng, _name_of(loss), output) for loss, output in zip(losses, outputs, strict=True)]
    return keras.tree.pack_sequence_as(predicted, made)


def _target(rng: np.random.Generator, loss: str, output: Any) -> Array:
    shape = tuple(output.shape)
    if "sparse_categorical" in loss:
        return rng.integers(0, shape[-1], shape[:-1]).astype("int32")
    if "categorical" in loss or "divergence" in loss:
        return np.eye(shape[-1], dtype="float32")[rng.integers(0, shape[-1], shape[:-1])]
    if "binary" in loss or "hinge" in loss or "dice" in loss or "tversky" in loss:
        return rng.integers(0, 2, shape).astype("float32")
    made = rng.normal(size=shape)
    if "poisson" in loss or "log" in loss or "percentage" in loss:
        made = np.abs(made) + 0.5
    return np.asarray(made.astype(backends.current().to_numpy(output).dtype))


def _name_of(loss: Any) -> str:
    """Return the name of a loss in snake case, whether it is a string, a function or an object."""
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", None) or getattr(loss, "name", None)
    name = str(name or type(loss).__name__)
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    return snake.lstrip("_")

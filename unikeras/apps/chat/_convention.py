"""Whether a model speaks bytes: it is run once, on all of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import unikeras as uk
from unikeras.errors import ArgumentError, ArgumentValueError

BYTES = 256
_WANTED = (
    "a model to chat with takes the bytes 0 to 255 as integers (batch, time) and returns logits of the next byte, "
    f"(batch, time, classes) with at most {BYTES} classes"
)


def check(model: Any) -> Any:
    """Return a model with a step; refuse one that does not take each byte, or does not return logits of bytes.

    Args:
        model: a Keras model, `uk.stateful(model)`, or an artifact with states.

    Raises:
        ArgumentError: the model has no step.
        ArgumentValueError: it takes or returns something else; the message says what.
    """
    keras = sys.modules.get("keras")
    if keras is not None and isinstance(model, keras.Model):
        model = uk.stateful(model)
    every_byte = np.arange(BYTES, dtype=np.int32)[None]
    step = step_of(model)
    try:
        output, _ = step(every_byte, model.initial_state(1))
    except Exception as error:  # a model may raise anything
        first_line = next(iter(str(error).strip().splitlines()), "")
        raise ArgumentValueError(
            f"{_WANTED}; this one fails on them: {type(error).__name__}: {first_line}"
        ) from error
    if isinstance(output, dict | list | tuple):
        raise ArgumentValueError(f"{_WANTED}; this one returns {len(output)} outputs")
    logits = to_numpy(output)
    if logits.ndim != 3 or logits.shape[:2] != (1, BYTES) or not 1 < logits.shape[2] <= BYTES:
        raise ArgumentValueError(f"{_WANTED}; for (1, {BYTES}) this one returns {logits.shape}")
    if not np.isfinite(logits).all():  # JAX returns NaN for a byte that an Embedding has no row for
        wrong = np.flatnonzero(~np.isfinite(logits).all(axis=(0, 2)))
        raise ArgumentValueError(f"{_WANTED}; from byte {wrong[0]} on this one returns NaN or Inf")
    return model


def step_of(model: Any) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Return a function `(x, state) -> (y, state)` of a step or an artifact.

    Raises:
        ArgumentError: the model has no step.
    """
    step = getattr(model, "step", model)
    if not callable(step) or not hasattr(model, "initial_state"):
        raise ArgumentError(
            "a chat needs a Keras model, uk.stateful(model), or an artifact with states; "
            f"received {type(model).__name__}"
        )
    return step


def to_numpy(value: Any) -> np.ndarray[Any, Any]:
    """Return what a step returns, a tensor or an array, as an array."""
    if isinstance(value, np.ndarray):
        return value
    import keras

    return np.asarray(keras.ops.convert_to_numpy(value))

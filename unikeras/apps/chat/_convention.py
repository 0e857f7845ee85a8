"""Whether a model speaks bytes: it is asked once, with all of them."""

from __future__ import annotations

import numpy as np

from unikeras._base.text import brief
from unikeras._specs.turns import Turns, to_numpy
from unikeras.errors import ArgumentValueError

BYTES = 256
_WANTED = (
    "a model to chat with takes the bytes 0 to 255 as integers (batch, time) and returns logits of the next byte, "
    f"(batch, time, classes) with at most {BYTES} classes"
)


def check(model: Turns) -> None:
    """Refuse a model that does not take each byte, or does not return logits of bytes.

    Raises:
        ArgumentValueError: it says what the model does instead.
    """
    every_byte = np.arange(BYTES, dtype=np.int32)[None]
    try:
        outputs, _ = model.turns([every_byte], [None])
    except Exception as error:  # a model may raise anything
        raise ArgumentValueError(f"{_WANTED}; this one fails on them: {brief(error)}") from error
    if isinstance(outputs[0], dict | list | tuple):
        raise ArgumentValueError(f"{_WANTED}; this one returns {len(outputs[0])} outputs")
    logits = to_numpy(outputs[0])
    if logits.ndim != 3 or logits.shape[:2] != (1, BYTES) or not 1 < logits.shape[2] <= BYTES:
        raise ArgumentValueError(f"{_WANTED}; for (1, {BYTES}) this one returns {logits.shape}")
    if not np.isfinite(logits).all():  # JAX answers so for a byte that an Embedding has no row for
        wrong = np.flatnonzero(~np.isfinite(logits).all(axis=(0, 2)))
        raise ArgumentValueError(f"{_WANTED}; from byte {wrong[0]} on this one returns NaN or Inf")

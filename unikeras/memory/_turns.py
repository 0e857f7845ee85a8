"""What sessions take for a model."""

from __future__ import annotations

import sys
from typing import Any

from unikeras._specs.turns import SplitTurns, Turns
from unikeras.errors import ArgumentError


def turns_of(model: Any) -> Turns:
    """Return a Keras model, a step, an artifact with a `step`, or what is a `Turns` already, as a `Turns`.

    Raises:
        ArgumentError: it is none of these.
    """
    keras = sys.modules.get("keras")
    if keras is not None and isinstance(model, keras.Model):
        from unikeras.streaming import stateful

        model = stateful(model)
    if isinstance(model, Turns):
        return model
    step = getattr(model, "step", model)
    absent = [name for name in ("states", "fingerprint", "initial_state") if not hasattr(model, name)]
    if absent or not callable(step):
        raise ArgumentError(
            "sessions are those of a Keras model, of uk.stateful(model), or of an artifact with memory; "
            f"received {type(model).__name__} without {', '.join(absent) or 'a step'}"
        )
    return SplitTurns(model, step)

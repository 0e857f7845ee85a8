"""Which of several checkpoints is the best: by the name of a value, and whether less or more of it is better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from unikeras.errors import ArgumentError, ArgumentValueError

# The last word of names whose direction is known.
_LESS = {"loss", "error", "mse", "mae", "rmse", "mape", "msle", "perplexity", "crossentropy", "divergence"}
_MORE = {"acc", "accuracy", "auc", "f1", "precision", "recall", "iou", "score", "similarity"}


@dataclass(frozen=True)
class BestValue:
    """What makes a checkpoint the best one.

    Attributes:
        name: of the value, such as `"val_loss"`.
        mode: `"min"` or `"max"`.
    """

    name: str
    mode: str

    @classmethod
    def of(cls, best: Any) -> Self | None:
        """Return what an argument `best=` means: None, a name, or a name and a mode.

        Raises:
            ArgumentError: it is something else.
            ArgumentValueError: the mode is unknown, or no mode is known for the name.

        Example:
            >>> BestValue.of("val_loss"), BestValue.of(("val_bleu", "max"))
            (BestValue(name='val_loss', mode='min'), BestValue(name='val_bleu', mode='max'))
        """
        if best is None:
            return None
        if isinstance(best, str):
            return cls(best, _mode_of(best))
        if isinstance(best, list | tuple) and len(best) == 2 and all(isinstance(part, str) for part in best):
            if best[1] not in ("min", "max"):
                raise ArgumentValueError(f"best={best!r}: the mode has to be 'min' or 'max'")
            return cls(*best)
        raise ArgumentError(
            f"best has to be a name such as 'val_loss', or (name, 'min' | 'max'); received {best!r}"
        )

    def value_in(self, values: Mapping[str, Any]) -> float | None:
        """Return the value, or None where there is none that can be compared."""
        value = values.get(self.name)
        if not isinstance(value, int | float) or math.isnan(value):
            return None
        return float(value)

    def is_better(self, value: float, than: float) -> bool:
        """Compare two values; equal ones are not better."""
        return value < than if self.mode == "min" else value > than


def _mode_of(name: str) -> str:
    word = name.rstrip("_0123456789").split("_")[-1]
    if word in _LESS:
        return "min"
    if word in _MORE:
        return "max"
    raise ArgumentValueError(
        f"best={name!r}: whether less or more of it is better is not known; pass best=({name!r}, 'min') or "
        f"best=({name!r}, 'max')"
    )

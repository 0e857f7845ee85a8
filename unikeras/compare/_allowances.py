"""What weights and states may differ by in training, because gradients differ by rounding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unikeras.compare._gaps import Array
from unikeras.compare._side_records import SideRun, VariableRecord

# How much a difference in a gradient may grow on its way into a weight, and one in a weight on its way into a state.
_GROWTH, _DRIFT = 4.0, 10.0


class Allowances:
    """What weights and states may differ by because gradients did, within their own tolerance.

    An optimizer such as Adam makes a step of full size of a gradient that is rounding noise, such as that of a bias
    before a BatchNormalization; its sign may differ between backends.
    """

    def __init__(self, first: SideRun, second: SideRun) -> None:
        self._first, self._second = first, second

    def of_weight(self, a: int, b: int, trained_a: int, trained_b: int, last: int) -> Any:
        """Return what each element of a weight may differ by after a step."""
        total: Any = 0.0
        ratio: Any = 0.0
        for number in range(last + 1):
            mine, theirs = self._gradients(trained_a, trained_b, number)
            moved = [self._moved(self._first, a, number), self._moved(self._second, b, number)]
            if mine is None or theirs is None or len({part.shape for part in (mine, theirs, *moved)}) > 1:
                return 0.0
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                relative = np.where(mine == theirs, 0.0, np.abs(mine - theirs) / np.abs(mine))
            ratio = np.maximum(ratio, np.minimum(2.0, _GROWTH * np.nan_to_num(relative, nan=1.0, posinf=1.0)))
            total = total + np.maximum(*moved) * ratio
        return total

    def of_slot(self, trained_a: int, trained_b: int, last: int) -> float:
        """Return what each element of an optimizer's slot may differ by after a step."""
        found = 0.0
        for number in range(last + 1):
            mine, theirs = self._gradients(trained_a, trained_b, number)
            if mine is not None and theirs is not None and mine.shape == theirs.shape and mine.size:
                size = 1 + float(np.max(np.abs(mine)))
                found = max(found, 2 * size * float(np.max(np.abs(mine - theirs))))
        return found if number else 0.0

    def drift(self, variables: Sequence[tuple[int, int, VariableRecord]], number: int) -> float:
        """Return what a state or the loss may differ by because the weights do, after the step before."""
        if not number:
            return 0.0
        mine, theirs = self._first.steps[number - 1].values, self._second.steps[number - 1].values
        gaps = [
            float(np.max(np.abs(mine[a].astype("float64") - theirs[b]), initial=0.0))
            for a, b, record in variables
            if record.trainable and mine[a].shape == theirs[b].shape
        ]
        return _DRIFT * max(gaps, default=0.0)

    def _gradients(self, a: int, b: int, number: int) -> tuple[Array | None, Array | None]:
        mine, theirs = self._first.steps[number].gradients[a], self._second.steps[number].gradients[b]
        if mine is None or theirs is None:
            return None, None
        return mine.astype("float64"), theirs.astype("float64")

    @staticmethod
    def _moved(run: SideRun, variable: int, number: int) -> Array:
        before = run.steps[number - 1].values[variable] if number else run.initial[variable]
        moved: Array = np.abs(run.steps[number].values[variable].astype("float64") - before.astype("float64"))
        return moved

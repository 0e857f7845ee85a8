"""Early stopping in a loop of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from unikeras.errors import StateError
from unikeras.training._best_weights import BestWeights, Monitor, check_state, count, number


class EarlyStopping:
    """Says when to stop: as `keras.callbacks.EarlyStopping` decides it in `fit`, for a loop of one's own.

    Args:
        patience: how many updates without an improvement are accepted.
        min_delta: the smallest change that is an improvement.
        mode: `"min"` where a smaller value is better, `"max"` where a larger one is.
        baseline: what a value must be better than, too, for the patience to begin anew; None for nothing.
        start_from: how many updates at the beginning are ignored.
        model: a built `keras.Model` that gets its best weights back when `update` says stop; None for no such model. A
            loop that ends by itself calls `restore_weights`.

    Attributes:
        best: the best value so far; None before the first.
        best_update: the number of the update that brought it, from 0.
        wait: the number of updates since the last improvement.
        stopped: whether an update said stop.

    Raises:
        ArgumentError: an argument is of the wrong type.
        ArgumentValueError: an argument is negative, or `mode` is another word.

    Source: keras.callbacks.EarlyStopping.

    Example:
        >>> import unikeras as uk
        >>> stopping = uk.training.EarlyStopping(patience=2)
        >>> [stopping.update(loss) for loss in (0.5, 0.4, 0.45, 0.41)]
        [False, False, False, True]
        >>> stopping.best, stopping.best_update
        (0.4, 1)
    """

    def __init__(
        self,
        patience: int = 0,
        *,
        min_delta: float = 0.0,
        mode: str = "min",
        baseline: float | None = None,
        start_from: int = 0,
        model: keras.Model | None = None,
    ) -> None:
        self._monitor = Monitor(mode, min_delta)
        self._patience = count("patience", patience)
        self._baseline = None if baseline is None else number("baseline", baseline)
        self._start_from = count("start_from", start_from)
        self._weights = None if model is None else BestWeights(model, mode)
        self._updates = 0
        self.best: float | None = None
        self.best_update = 0
        self.wait = 0
        self.stopped = False

    def update(self, value: Any) -> bool:
        """Take the value of an epoch, or of any other unit that the loop has.

        Args:
            value: a number, or a tensor with one element. NaN is no improvement; after a first value of NaN nothing
                is, as in Keras.

        Returns:
            Whether to stop. The model, where one was passed, has its best weights then.

        Raises:
            ArgumentError: it is no number.
        """
        value = number("value", value)
        update = self._updates
        self._updates += 1
        if update < self._start_from:
            return False
        if self._weights is not None and not self._weights.has_weights:
            self._weights.keep()
            self.best_update = update
        self.wait += 1
        if self._monitor.is_improvement(value, self.best):
            self.best, self.best_update = value, update
            if self._weights is not None:
                self._weights.keep()
            if self._baseline is None or self._monitor.is_improvement(value, self._baseline):
                self.wait = 0
            return False
        if self.wait < self._patience:
            return False
        self.stopped = True
        self.restore_weights()
        return True

    def restore_weights(self) -> None:
        """Give the model its best weights; without a model, or before the first update, this does nothing."""
        if self._weights is not None:
            self._weights.restore_weights()

    @property
    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it: counters, the best value, and best weights as numpy arrays."""
        return {
            "updates": self._updates,
            "best": self.best,
            "best_update": self.best_update,
            "wait": self.wait,
            "stopped": self.stopped,
            "weights": None if self._weights is None else self._weights.state,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` returned.

        Args:
            state: from an `EarlyStopping`, with a model where this one has one.

        Raises:
            StateError: it is another object's state, or another model's.
        """
        check_state(self, state, self.state)
        if self._weights is not None:
            if state["weights"] is None:
                raise StateError("the state has no best weights; it is from an EarlyStopping without a model")
            self._weights.restore(state["weights"])
        self._updates, self.best = state["updates"], state["best"]
        self.best_update, self.wait, self.stopped = state["best_update"], state["wait"], state["stopped"]

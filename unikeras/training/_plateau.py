"""A learning rate that falls where a value no longer improves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from unikeras._keras.without_tensorflow import without_tensorflow
from unikeras.errors import ArgumentError, ArgumentValueError
from unikeras.training._best_weights import Monitor, check_state, count, number


class ReduceLROnPlateau:
    """Reduces the learning rate where a value no longer improves, as Keras' callback of this name does in `fit`.

    Args:
        optimizer: a Keras optimizer whose learning rate is a number.
        factor: what the learning rate is multiplied by, from 0 to below 1.
        patience: how many updates without an improvement are accepted.
        min_delta: the smallest change that is an improvement.
        mode: `"min"` where a smaller value is better, `"max"` where a larger one is.
        cooldown: how many updates after a reduction are not counted.
        min_lr: the learning rate does not fall below this.

    Attributes:
        best: the best value so far; None before the first.
        wait: the number of counted updates since the last improvement.

    Raises:
        ArgumentError: `optimizer` is no Keras optimizer, or its learning rate is a schedule.
        ArgumentValueError: a number is out of its range, or `mode` is another word.

    Source: keras.callbacks.ReduceLROnPlateau.

    Example:
        >>> import keras, unikeras as uk
        >>> optimizer = keras.optimizers.SGD(0.5)
        >>> plateau = uk.training.ReduceLROnPlateau(optimizer, factor=0.5, patience=2)
        >>> [plateau.update(loss) for loss in (1.0, 1.0, 1.0)]
        [False, False, True]
        >>> float(optimizer.learning_rate)
        0.25
    """

    def __init__(
        self,
        optimizer: Any,
        *,
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 1e-4,
        mode: str = "min",
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        _parts(optimizer)  # checks them; more may come with the first step
        self._optimizer = optimizer
        self._monitor = Monitor(mode, min_delta)
        self._factor = number("factor", factor)
        if not 0 <= self._factor < 1:
            raise ArgumentValueError(f"factor must be from 0 to below 1; received {factor!r}")
        self._patience = count("patience", patience)
        self._cooldown = count("cooldown", cooldown)
        self._min_lr = number("min_lr", min_lr)
        self.best: float | None = None
        self.wait = 0
        self._cooldown_left = 0

    def update(self, value: Any) -> bool:
        """Take the value of an epoch, or of any other unit that the loop has.

        Args:
            value: a number, or a tensor with one element. NaN is no improvement.

        Returns:
            Whether the learning rate was reduced.

        Raises:
            ArgumentError: it is no number.
        """
        value = number("value", value)
        if self._cooldown_left > 0:
            self._cooldown_left -= 1
            self.wait = 0
        if self._monitor.is_improvement(value, self.best):
            self.best, self.wait = value, 0
            return False
        if self._cooldown_left > 0:
            return False
        self.wait += 1
        if self.wait < self._patience:
            return False
        reduced = [self._reduce(optimizer) for optimizer in _parts(self._optimizer)]
        if any(reduced):
            self._cooldown_left, self.wait = self._cooldown, 0
        return any(reduced)

    def _reduce(self, optimizer: Any) -> bool:
        rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        if rate <= np.float32(self._min_lr):
            return False
        optimizer.learning_rate = max(rate * self._factor, self._min_lr)
        return True

    @property
    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it; the learning rate is the optimizer's."""
        return {"best": self.best, "wait": self.wait, "cooldown": self._cooldown_left}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` returned.

        Args:
            state: from a `ReduceLROnPlateau`.

        Raises:
            StateError: it is another object's state.
        """
        check_state(self, state, self.state)
        self.best, self.wait, self._cooldown_left = state["best"], state["wait"], state["cooldown"]


def _parts(optimizer: Any) -> list[Any]:
    """Return the optimizers whose learning rates are set: this one, or those that it consists of.

    Raises:
        ArgumentError: one of them cannot be set.
    """
    if not isinstance(optimizer, keras.Optimizer):
        raise ArgumentError(f"optimizer must be a Keras optimizer; received {type(optimizer).__qualname__}")
    parts = list(getattr(optimizer, "optimizers", [optimizer]))
    for part in parts:
        with without_tensorflow():
            rate = getattr(part, "inner_optimizer", part).get_config()["learning_rate"]
        if not isinstance(rate, int | float | np.number):
            raise ArgumentError(
                f"the learning rate of optimizer {part.name!r} is a schedule, which decides it alone; "
                "make the optimizer with a number, such as Adam(0.001)"
            )
    return parts

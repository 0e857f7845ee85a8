"""Global steps: on how many batches a model was trained, over all epochs."""

from __future__ import annotations

import operator
from typing import Any

from unikeras.errors import ArgumentError, ArgumentValueError


class StepCounter:
    """Counts steps for a callback that is told of some batches only.

    Attributes:
        start: steps done before this training.
        step: steps done.
    """

    def __init__(self) -> None:
        self.start = self.step = 0
        self._previous = 0
        self._epoch_start = 0
        self._is_new_epoch = True
        self._batches: int | None = None
        self._restored: int | None = None

    def restore(self, step: int) -> None:
        """Go on from a step at the next `begin`."""
        self.step = self._restored = step

    def begin(self, done: int, batches: int | None) -> None:
        """Begin a training.

        Args:
            done: steps that the optimizer has made; what `restore` said comes first.
            batches: in an epoch; None where that is not known.
        """
        self.step = self.start = self._previous = done if self._restored is None else self._restored
        self._restored, self._batches = None, batches

    def begin_epoch(self) -> None:
        """Begin an epoch: batches count from 0 again."""
        self._epoch_start, self._is_new_epoch = self.step, True

    def begin_batch(self, batch: int) -> None:
        """Note the batch that begins: a resumed epoch begins in its middle."""
        if self._is_new_epoch:
            self._epoch_start, self._is_new_epoch = self.step - batch, False

    def end_batch(self, batch: int) -> None:
        """Note a batch that ends, and all before it; to note it again changes nothing."""
        step = self.after(batch)
        if step > self.step:
            self._previous, self.step = self.step, step

    def after(self, batch: int) -> int:
        """Return how many steps are done after a batch of this epoch."""
        # The last execution of an epoch may have fewer batches than Keras says.
        last = batch if self._batches is None else min(batch, self._batches - 1)
        return self._epoch_start + last + 1

    def passes(self, every: int) -> bool:
        """Say whether the execution that was noted last contains a multiple of so many steps."""
        return self.step // every > self._previous // every


def check_frequency(name: str, value: Any) -> int:
    """Return a number of steps or epochs.

    Raises:
        ArgumentError: it is no whole number.
        ArgumentValueError: it is negative.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise ArgumentError(f"{name} must be a whole number; received {value!r}") from None
    if isinstance(value, bool) or number < 0:
        raise ArgumentValueError(f"{name} must be a whole number from 0; received {value!r}")
    return number

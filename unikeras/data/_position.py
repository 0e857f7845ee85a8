"""Where the iteration of a source stands: epoch and batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from unikeras.errors import ArgumentError, ArgumentValueError, DatasetError


class Position:
    """The epoch, and how many batches of it were handed out.

    Args:
        epoch: from 0.
        batch: from 0.
    """

    def __init__(self, epoch: int = 0, batch: int = 0) -> None:
        self.epoch = epoch
        self.batch = batch
        # The next iteration begins here; it is the next epoch's where one was broken off.
        self._is_begin = True
        self._begun = 0

    def begin(self) -> Reading:
        """Begin an iteration: of the next epoch, or of the rest of one that was restored."""
        if not self._is_begin:
            self.epoch, self.batch = self.epoch + 1, 0
            self._is_begin = True
        self._begun += 1
        return Reading(self, self._begun)

    @property
    def next_batch(self) -> int:
        """The first batch of the next iteration."""
        return self.batch if self._is_begin else 0

    def move(self, iteration: int, epoch: int, batch: int, is_begin: bool) -> None:
        """Go to a place; an iteration that another one has followed moves nothing."""
        if iteration == self._begun:
            self.epoch, self.batch, self._is_begin = epoch, batch, is_begin

    def iterate(self, read: Callable[[int, int], Iterator[Any]]) -> Iterator[Any]:
        """Yield what is read of the epoch that comes next, and move along.

        Args:
            read: takes the epoch and the first batch.
        """
        reading = self.begin()
        items = read(reading.epoch, reading.start)
        try:
            for item in items:
                reading.hand_out()
                yield item
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
        reading.finish()

    def restore(self, epoch: int, batch: int) -> None:
        """Let the next iteration begin at a batch."""
        self.epoch, self.batch, self._is_begin = epoch, batch, True
        self._begun += 1


class Reading:
    """One iteration of a source, which moves its position.

    Args:
        position: where the source is.
        iteration: the number of this iteration.

    Attributes:
        epoch: what it reads.
        start: the first batch that it reads.
        batch: how many batches of the epoch were handed out.
        is_finished: whether the source has gone to the next epoch.
    """

    def __init__(self, position: Position, iteration: int) -> None:
        self._position, self._iteration = position, iteration
        self.epoch, self.start = position.epoch, position.batch
        self.batch = self.start
        self.is_finished = False

    def hand_out(self, count: int = 1) -> None:
        """Count batches that the consumer gets."""
        self.batch += count
        self._position.move(self._iteration, self.epoch, self.batch, is_begin=False)

    def finish(self) -> None:
        """Go to the next epoch."""
        self.is_finished = True
        self._position.move(self._iteration, self.epoch + 1, 0, is_begin=True)

    def undo(self) -> None:
        """Go back to where the iteration began."""
        self._position.move(self._iteration, self.epoch, self.start, is_begin=True)


def check_state(state: Any, expected: dict[str, Any], length: int) -> tuple[int, int]:
    """Return epoch and batch of a state that belongs to this source.

    Args:
        state: what a source's `state` was.
        expected: the seed and the description of this source.
        length: how many batches an epoch has.

    Raises:
        ArgumentError: it is no state of a source.
        ArgumentValueError: epoch or batch are not possible.
        DatasetError: it belongs to another source; each difference is named.
    """
    if not isinstance(state, dict) or not {"epoch", "batch", "seed", "source"} <= state.keys():
        raise ArgumentError(
            "restore takes what a source's .state was, a dict with epoch, batch, seed and source; "
            f"received {state!r:.200}"
        )
    saved = {"seed": state["seed"], **(state["source"] if isinstance(state["source"], dict) else {})}
    differences = [
        f"{name} is {_shown(now)} here and was {_shown(saved.get(name))}"
        for name, now in expected.items()
        if saved.get(name) != now
    ]
    if differences:
        raise DatasetError(
            f"the state was taken of another source: {'; '.join(differences)}. "
            "Make the source as it was, or begin a new run"
        )
    for name, most in (("epoch", 2**63 - 1), ("batch", length)):
        value = state[name]
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise ArgumentValueError(
                f"{name} of a state has to be an integer from 0 to {most}; received {value!r}"
            )
    return state["epoch"], state["batch"]


def _shown(value: Any) -> str:
    return " ".join(value) if isinstance(value, list) and value and isinstance(value[0], str) else repr(value)

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
        self._iterations = 0

    def begin(self) -> tuple[int, int, int]:
        """Begin an iteration.

        Returns:
            Its epoch, the first batch, and a number that says which iteration moves the position.
        """
        if not self._is_begin:
            self.epoch, self.batch = self.epoch + 1, 0
            self._is_begin = True
        self._iterations += 1
        return self.epoch, self.batch, self._iterations

    def hand_out(self, iteration: int, count: int = 1) -> None:
        """Count batches that the consumer gets; an iteration that another one has followed moves nothing."""
        if iteration == self._iterations:
            self.batch += count
            self._is_begin = False

    def finish(self, iteration: int) -> None:
        """Move to the next epoch."""
        if iteration == self._iterations:
            self.epoch, self.batch, self._is_begin = self.epoch + 1, 0, True

    def iterate(self, read: Callable[[int, int], Iterator[Any]]) -> Iterator[Any]:
        """Yield what is read of the epoch that comes next, and move along.

        Args:
            read: takes the epoch and the first batch.
        """
        epoch, start, iteration = self.begin()
        items = read(epoch, start)
        try:
            for item in items:
                self.hand_out(iteration)
                yield item
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
        self.finish(iteration)

    def restore(self, epoch: int, batch: int) -> None:
        """Let the next iteration begin at a batch."""
        self.epoch, self.batch, self._is_begin = epoch, batch, True
        self._iterations += 1


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

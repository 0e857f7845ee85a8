"""Some batches of a fit under the backend's profiler."""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path
from typing import Any

from unikeras import backends
from unikeras._base.rank import rank
from unikeras.errors import ArgumentValueError


class StepProfile:
    """Records the batches of a range, counted from 1 when the training begins.

    Args:
        batches: a batch, the first and the last one, or both as Keras' text `"5,10"`; 0 for none.
        folder: where the record goes.

    Raises:
        ArgumentValueError: it is no such range.
    """

    def __init__(self, batches: Any, folder: Path) -> None:
        self._first, self._last = _range_of(batches)
        self._folder = folder
        self._recording: contextlib.ExitStack | None = None
        self._step: contextlib.ExitStack | None = None
        self._is_done = False

    def begin(self) -> None:
        """Begin a training: end what one that failed has left, and record anew."""
        self.end()
        self._is_done = self._first == 0 or rank() != 0

    def wants(self, first: int, last: int) -> bool:
        """Say whether some batches are to be recorded, or the record ends with them."""
        return not self._is_done and first <= self._last and last >= self._first

    def begin_batch(self, number: int) -> None:
        """Mark the beginning of a batch; the first one starts the profiler."""
        if not self.wants(number, number):
            return
        if self._recording is None:
            self._recording = contextlib.ExitStack()
            try:
                self._recording.enter_context(backends.current().profile(self._folder))
            except Exception as error:  # whatever a profiler does not like, such as another one
                warnings.warn(f"the profiler did not start: {error}; training goes on", stacklevel=2)
                self.end()
                return
        self._step = contextlib.ExitStack()
        self._step.enter_context(backends.current().profiled_step("train", number))

    def end_batch(self, number: int) -> None:
        """Mark the end of a batch; the last one stops the profiler."""
        if self._step is not None:
            self._step.close()
            self._step = None
        if self._recording is not None and number >= self._last:
            self.end()

    def end(self) -> None:
        """Stop the profiler and write its record."""
        self._is_done = True
        recording, self._recording = self._recording, None
        step, self._step = self._step, None
        try:
            if step is not None:
                step.close()
            if recording is not None:
                recording.close()
        except Exception as error:  # a full disk, another profiler
            warnings.warn(f"the profile was not written: {error}; training goes on", stacklevel=2)


def _range_of(batches: Any) -> tuple[int, int]:
    given = batches
    try:
        if isinstance(batches, str):
            batches = [int(part) for part in batches.split(",")]
        first, last = (
            batches if isinstance(batches, list | tuple) and len(batches) == 2 else (batches, batches)
        )
        if isinstance(first, list | tuple):
            (first,) = (last,) = first
        if isinstance(first, bool) or int(first) != first or int(last) != last or not 0 <= first <= last:
            raise ValueError
        if first == 0 and last != 0:
            raise ValueError
    except (TypeError, ValueError):
        raise ArgumentValueError(
            f"profile_batch must be a batch from 1, or a pair of the first and the last one; received {given!r}"
        ) from None
    return int(first), int(last)

"""Batches for the loop: lists of as many as one execution takes, from any source that Keras knows."""

from __future__ import annotations

import itertools
from typing import Any

from unikeras import backends
from unikeras._keras.trainer_parts import EpochIterator


class Batches(EpochIterator):
    """Lists of as many batches as one execution takes."""

    def _get_iterator(self) -> Any:
        return backends.current().batches(self.data_adapter)

    def __next__(self) -> tuple[int, int, list[Any]]:
        begin, end, iterator = next(self._epoch_iterator)
        # The last execution of an epoch may have fewer batches.
        batches = list(itertools.islice(iterator, self.steps_per_execution))
        if not batches:
            with self.catch_stop_iteration():  # which warns, and remembers how many batches there were
                raise StopIteration
            raise StopIteration
        return begin, end, batches

    def look_up(self) -> Any:
        """Return the first batch of a PyDataset with workers; to take it from them would be to lose it."""
        adapter = self.data_adapter
        if getattr(adapter, "enqueuer", None) is None:
            return None
        return adapter._standardize_batch(adapter.py_dataset[0])

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

    def _enumerate_iterator(self) -> Any:
        if hasattr(self.data_adapter, "hand_out"):
            self._num_batches = self.data_adapter.batches_of_pass
        yield from super()._enumerate_iterator()

    def __next__(self) -> tuple[int, int, list[Any]]:
        begin, end, iterator = next(self._epoch_iterator)
        # The last execution of an epoch may have fewer batches.
        batches = list(itertools.islice(iterator, self.steps_per_execution))
        if not batches:
            with self.catch_stop_iteration():  # which warns, and remembers how many batches there were
                raise StopIteration
            raise StopIteration
        if hasattr(self.data_adapter, "hand_out"):
            self.data_adapter.hand_out(len(batches))
        return begin, end, batches

    def look_up(self) -> Any:
        """Return a batch of data that to read would change: a source with a position, a PyDataset with workers."""
        adapter = self.data_adapter
        if hasattr(adapter, "look_up"):
            return adapter.look_up()
        if getattr(adapter, "enqueuer", None) is None:
            return None
        return adapter._standardize_batch(adapter.py_dataset[0])

"""What Keras' loops, and ours, read a batched source by."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from unikeras._keras.trainer_calls import is_for_training
from unikeras._keras.trainer_parts import PyDatasetAdapter, get_tensor_spec
from unikeras.data import _examples
from unikeras.errors import ArgumentError, ArgumentValueError


class SourceAdapter(PyDatasetAdapter):
    """The batches of a source in the source's own order.

    Args:
        source: a batched source.
        class_weight: of fit.
        shuffle: False for the order before any shuffle.
        trains: whether reading moves the source's epoch.
        counts: whether to count batches as they are read; a loop that reads ahead counts by `hand_out`.
    """

    def __init__(
        self,
        source: Any,
        class_weight: Any = None,
        shuffle: bool = True,
        trains: bool = True,
        counts: bool = True,
    ) -> None:
        super().__init__(source, class_weight=class_weight)
        self._shuffled, self._trains, self._counts = shuffle and trains, trains, counts
        self._reading: Any = None

    def _get_iterator(self) -> Iterator[Any]:
        if self._trains:
            return self._train()
        return map(self._standardize_batch, self.py_dataset.read_epoch(0, shuffled=False))

    def _train(self) -> Iterator[Any]:
        if self._reading is not None and not self._reading.is_finished:
            # fit reads a batch to build the model, and then begins anew.
            self._reading.undo()
        reading = self._reading = self.py_dataset.begin()
        for batch in self.py_dataset.read_epoch(reading.epoch, reading.start, self._shuffled):
            if self._counts:
                reading.hand_out()
            yield self._standardize_batch(batch)

    @property
    def batches_of_pass(self) -> int:
        """How many batches this pass has: fewer than others, where the source was restored in the middle of it."""
        count = len(self.py_dataset)
        if not self._trains:
            return count
        reading = self._reading
        return count - (
            self.py_dataset.next_batch if reading is None or reading.is_finished else reading.start
        )

    def hand_out(self, count: int) -> None:
        """Count batches that a loop trains on."""
        if self._trains and not self._counts and self._reading is not None:
            self._reading.hand_out(count)

    def look_up(self) -> Any:
        """Return a batch to build a model by; nothing moves."""
        return self._standardize_batch(self.py_dataset[0])

    def on_epoch_end(self) -> None:
        super().on_epoch_end()
        reading = self._reading
        if reading is not None and not reading.is_finished and reading.batch >= len(self.py_dataset):
            reading.finish()

    def get_tf_dataset(self: Any) -> Any:
        if self._output_signature is None:
            _refuse_lists(self.look_up())
            batches = [self.look_up(), self._standardize_batch(self.py_dataset[-1])]
            if self.py_dataset.is_padded:
                batches.append(_examples.map_leaves(_of_other_length, batches[0]))
            self._output_signature = get_tensor_spec(batches)
        self.enqueuer = self  # tf.data then reads no batch ahead, which would count
        try:
            return super().get_tf_dataset()
        finally:
            self.enqueuer = None


def _refuse_lists(batch: Any) -> None:
    """Refuse lists of arrays, which tf.data has not; `keras.Model` reads by it.

    Raises:
        ArgumentError: there is one.
    """
    parts = batch.values() if isinstance(batch, dict) else batch
    for part in parts if isinstance(batch, dict | tuple) else ():
        if isinstance(part, list):
            raise ArgumentError(
                "keras.Model reads batches by tf.data here, which has no lists of arrays; name the parts in a dict, or "
                "use uk.Model"
            )
        _refuse_lists(part)


def _of_other_length(leaf: Any) -> Any:
    shape = leaf.shape
    return leaf if len(shape) < 2 else np.empty((shape[0], shape[1] + 1, *shape[2:]), leaf.dtype)


def adapted(arguments: dict[str, Any], trains: bool) -> dict[str, Any]:
    """Return the arguments of a loop that counts batches itself, with an adapter in place of a source.

    Args:
        arguments: x, y, sample_weight, shuffle and class_weight, as Keras' epoch iterator takes them.
        trains: whether reading moves the source's epoch.

    Raises:
        ArgumentError: x is a source of examples, not of batches.
        ArgumentValueError: targets or weights are given beside a source.
    """
    x = arguments.get("x")
    if not _is_source(x):
        return arguments
    _check_alone(arguments.get("y"), arguments.get("sample_weight"))
    adapter = SourceAdapter(
        x, arguments.get("class_weight"), arguments.get("shuffle", True), trains, counts=False
    )
    return {**arguments, "x": adapter}


def adapting_sources(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return Keras' choice of an adapter, with ours for sources."""

    @functools.wraps(original)
    def get_data_adapter(x: Any, y: Any = None, sample_weight: Any = None, *args: Any, **options: Any) -> Any:
        if not _is_source(x):
            return original(x, y, sample_weight, *args, **options)
        _check_alone(y, sample_weight)
        original(x, None, None, *args, **options)  # Keras refuses what it cannot distribute
        shuffle = bool(options.get("shuffle", False))
        trains = is_for_training()
        return SourceAdapter(x, options.get("class_weight"), shuffle, shuffle if trains is None else trains)

    return get_data_adapter


def _is_source(x: Any) -> bool:
    """Say whether this is a source of batches; refuse one of examples."""
    if not hasattr(type(x), "read_epoch"):
        return False
    if not isinstance(x, keras.utils.PyDataset):
        raise ArgumentError(f"{x!r} has examples; fit, evaluate and predict take batches: call .batch(32)")
    return True


def _check_alone(y: Any, sample_weight: Any) -> None:
    if y is not None or sample_weight is not None:
        raise ArgumentValueError(
            "y and sample_weight are parts of a source's batches, (x, y, sample_weight), and are not given beside it"
        )

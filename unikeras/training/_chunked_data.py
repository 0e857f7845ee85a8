"""Long sequences as batches of chunks, each row going on where it was in the batch before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from unikeras._specs.structure import put_together, take_apart
from unikeras.errors import ArgumentValueError

Array = np.ndarray[Any, Any]


class Chunks(keras.utils.PyDataset):
    """Batches of chunks: `({"x": chunk, "starts": (batch,)}, y, sample_weight)`.

    Each row of the batch reads one sequence after the other; `starts` says in which rows another one begins. Steps
    behind the end of a sequence, and rows that have run out of sequences, weigh nothing.

    Args:
        x: an array (sequences, time, ...), a list of arrays (time, ...) of any lengths, or a dict of such.
        y: a target for each step, likewise.
        chunk: steps in a chunk.
        batch_size: rows.
        shuffle: whether sequences, of those that have as many chunks, change places after each epoch.
        seed: of the shuffling.

    Raises:
        ArgumentValueError: there are no sequences, one has no steps, or x and y differ in number or length.
    """

    def __init__(
        self, x: Any, y: Any, chunk: int, batch_size: int = 32, shuffle: bool = False, seed: int | None = None
    ) -> None:
        super().__init__()
        self._structures, leaves = zip(*[take_apart(part, _is_dict) for part in (x, y)], strict=True)
        self._inputs = len(leaves[0])
        self._leaves = [[np.asarray(sequence) for sequence in leaf] for leaf in (*leaves[0], *leaves[1])]
        self._lengths = _lengths(self._leaves)
        self._chunk = chunk
        self._counts = [-(-length // chunk) for length in self._lengths]
        self.batch_size = min(batch_size, len(self._counts))
        self._rows = _deal(self._counts, self.batch_size)
        self._order = list(range(len(self._counts)))
        self._rng = np.random.default_rng(seed) if shuffle else None
        self.on_epoch_end()

    def __len__(self) -> int:
        return max(sum(self._counts[number] for number in row) for row in self._rows)

    def __getitem__(self, index: int) -> Any:
        places = [self._place(row, index) for row in self._rows]
        parts = [np.stack([self._cut(leaf, *place) for place in places]) for leaf in self._leaves]
        x = put_together(self._structures[0], parts[: self._inputs])
        y = put_together(self._structures[1], parts[self._inputs :])
        starts = np.array([begin == 0 for _, begin, _ in places])
        steps = np.arange(self._chunk)
        weights = np.stack([steps < left for _, _, left in places]).astype("float32")
        return {"x": x, "starts": starts}, y, weights

    def on_epoch_end(self) -> None:
        """Let sequences of as many chunks change places, so that the batches stay as many."""
        if self._rng is None:
            return
        for count in set(self._counts):
            alike = [number for number, other in enumerate(self._counts) if other == count]
            shuffled = self._rng.permutation([self._order[number] for number in alike])
            for number, sequence in zip(alike, shuffled, strict=True):
                self._order[number] = int(sequence)

    def _place(self, row: Sequence[int], index: int) -> tuple[int, int, int]:
        """Return the sequence that a row reads in a batch, the step that it is at, and how many are left."""
        for number in row:
            if index < self._counts[number]:
                sequence, begin = self._order[number], index * self._chunk
                return sequence, begin, self._lengths[sequence] - begin
            index -= self._counts[number]
        return self._order[row[0]], 0, 0

    def _cut(self, leaf: Sequence[Array], sequence: int, begin: int, left: int) -> Array:
        steps = np.minimum(np.arange(begin, begin + self._chunk), self._lengths[sequence] - 1)
        return leaf[sequence][steps]


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def _lengths(leaves: Sequence[Sequence[Array]]) -> list[int]:
    """Return how many steps each sequence has, the same in all inputs and targets."""
    counts = {len(leaf) for leaf in leaves}
    if len(counts) != 1 or counts == {0}:
        raise ArgumentValueError(f"x and y need as many sequences, one at least; received {sorted(counts)}")
    by_sequence = [{leaf[number].shape[:1] for leaf in leaves} for number in range(counts.pop())]
    for number, lengths in enumerate(by_sequence):
        if len(lengths) != 1 or lengths & {(), (0,)}:
            raise ArgumentValueError(
                f"sequence {number} needs a target for each of its steps, one at least; its inputs and targets have "
                f"{' and '.join(str(*length) if length else 'no' for length in sorted(lengths))} steps"
            )
    return [lengths.pop()[0] for lengths in by_sequence]


def _deal(counts: Sequence[int], rows: int) -> list[list[int]]:
    """Give each sequence, the longest first, to the row that has the least to read."""
    dealt: list[list[int]] = [[] for _ in range(rows)]
    loads = [0] * rows
    for number in sorted(range(len(counts)), key=lambda number: -counts[number]):
        row = loads.index(min(loads))
        dealt[row].append(number)
        loads[row] += counts[number]
    return dealt

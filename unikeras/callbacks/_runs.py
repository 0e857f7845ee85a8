"""The runs of a TensorBoard callback: a folder and a writer for each."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from unikeras._base.rank import rank
from unikeras.callbacks._event_file import EventFile, check_folder, read_events
from unikeras.callbacks._hyperparameters import hyperparameter_summaries
from unikeras.callbacks._summaries import clean_tag, scalar
from unikeras.callbacks._summary_writer import SummaryWriter
from unikeras.errors import OutputError

# How the tags begin whose steps are batches; the others' are epochs.
BATCH = "batch_"
_FLUSH_SECONDS = 10


class _RunWriter(SummaryWriter):
    """The writer of one run."""

    def add_numbers(self, numbers: Mapping[str, float], step: int) -> None:
        """Add numbers to their curves, in one event: a checksum for each would take longer than the rest."""
        summaries = [scalar(clean_tag(tag), number) for tag, number in numbers.items()]
        for summary in summaries[1:]:
            summaries[0].MergeFrom(summary)
        self._add(step, None, summary=summaries[0])


class _Nowhere(_RunWriter):
    """A run that could not be opened."""

    def __init__(self, name: str) -> None:
        self.log_dir = self._folder = Path(name)
        self._files = {}
        self._is_closed, self._is_silent = False, True


class Runs:
    """Opens a run when something is written to it.

    Args:
        folder: the folder of all runs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[str, _RunWriter] = {}
        self._table: EventFile | None = None

    def check(self) -> None:
        """Refuse a folder that cannot be written.

        Raises:
            OutputError: it is a file, an address, or cannot be made.
        """
        if rank() == 0:
            check_folder(self._folder)
            check_folder(self._folder / "train")

    def writer(self, name: str) -> _RunWriter:
        """Return the writer of a run."""
        if name not in self._writers:
            self._writers[name] = self._open(name)
        return self._writers[name]

    def _open(self, name: str, purge_step: int | None = None) -> _RunWriter:
        """Open a run; where that fails in the middle of a training, warn, and write it nowhere."""
        try:
            return _RunWriter(self._folder / name, purge_step=purge_step, flush_secs=_FLUSH_SECONDS)
        except OutputError as error:
            warnings.warn(f"{error}; training goes on, without the run {name!r}", stacklevel=2)
            return _Nowhere(name)

    def go_on(self, epoch: int, step: int) -> None:
        """Let readers drop what a killed run wrote after the point where it is resumed.

        Readers drop all events of a folder from a step on, and curves over epochs and over batches share a folder. So
        they are told to drop everything from the epoch on, and the batches up to the step are written again.

        Args:
            epoch: the first epoch that is trained now.
            step: steps done at that point.
        """
        if rank() != 0:
            return
        for name in ("train", "validation"):
            folder = self._folder / name
            if not any(folder.glob("events.out.tfevents.*")):
                continue
            kept = {
                (event.step, value.tag): (value.simple_value, event.wall_time)
                for event in read_events(folder)
                for value in event.summary.value
                if value.tag.startswith(BATCH) and epoch <= event.step <= step
            }
            writer = self._open(name, epoch)
            for (at, tag), (value, walltime) in sorted(kept.items()):
                writer.add_scalar(tag, value, at, walltime)
            self._writers[name] = writer

    def add_scalars(self, name: str, prefix: str, values: Mapping[str, Any], step: int) -> None:
        """Add the numbers among some values to a run; a step may return a text."""
        numbers = {f"{prefix}{tag}": number for tag, number in _numbers(values)}
        if numbers:
            self.writer(name).add_numbers(numbers, step)

    def add_to_table(self, hparams: Mapping[str, Any], results: Mapping[str, Any], epoch: int) -> None:
        """Write the results of an epoch for TensorBoard's table of runs, which finds them beside the hyperparameters.

        Args:
            hparams: by name.
            results: metrics by name.
            epoch: the number of the epoch.
        """
        if rank() != 0 or not hparams:
            return
        tagged = {f"hparams/{clean_tag(name)}": number for name, number in _numbers(results)}
        if self._table is None:
            try:
                self._table = EventFile(self._folder)
            except OutputError as error:
                warnings.warn(f"{error}; training goes on", stacklevel=2)
                return
            for summary in hyperparameter_summaries(hparams, list(tagged))[:2]:
                self._table.add(summary=summary)
        for tag, number in tagged.items():
            self._table.add(epoch, summary=scalar(tag, number))

    def flush(self) -> None:
        """Write all that was added."""
        for writer in self._writers.values():
            writer.flush()
        if self._table is not None:
            self._table.flush()

    def close(self) -> None:
        """Close all runs; what is written later opens them again."""
        if self._table is not None:
            self._table.add(summary=hyperparameter_summaries({}, [])[2])
            self._table.close()
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
        self._table = None


def _numbers(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    return ((name, value) for name, value in values.items() if isinstance(value, int | float))

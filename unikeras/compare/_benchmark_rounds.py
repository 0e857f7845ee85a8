"""The processes of a benchmark and their turns: each row starts alone, then all rows of a task alternate."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from unikeras import backends
from unikeras._base.text import brief
from unikeras._keras import archive
from unikeras.compare import _benchmark_work as work
from unikeras.compare._benchmark_data import Data
from unikeras.compare._benchmark_request import Request
from unikeras.compare._measurement import Measurement
from unikeras.errors import ExportError, RemoteError, UnikerasError, WorkerDied, WorkerTimeout
from unikeras.export import export_model
from unikeras.workers import OwnWorker

Report = Callable[[str], None]


@dataclass
class _Row:
    """A measurement that is being made, and the process that makes it."""

    worker: OwnWorker
    found: Measurement
    times: list[float] = field(default_factory=list)

    def fail(self, error: BaseException | str) -> None:
        self.found = replace(
            self.found, error=error if isinstance(error, str) else _reason(error), first_s=None
        )


def measure_all(model: Any, data: Data, loss: str, request: Request, report: Report) -> list[Measurement]:
    """Return the measurements of all rows that a request asks for.

    Args:
        model: a built `keras.Model`.
        data: its batches.
        loss: the name of the loss for a model without one.
        request: what to measure.
        report: called with a text before each piece of work; `pieces` says how often.
    """
    with ExitStack() as stack, tempfile.TemporaryDirectory(prefix="unikeras-bench-") as folder:
        rounds = _Rounds(archive.pack(model), data, loss, request, report)
        for name in request.backends:
            rounds.workers[name] = stack.enter_context(OwnWorker(name))
        if "predict" in request.tasks:
            rounds.write_artifacts(model, Path(folder))
        for name in rounds.artifacts:
            rounds.workers[name] = stack.enter_context(OwnWorker(None))
        return [
            found
            for task in request.tasks
            for batch in request.batch_sizes
            for found in rounds.measure(task, batch)
        ]


def pieces(request: Request) -> int:
    """Return how often a measurement of a request reports."""
    ways = len(request.backends) * (1 + len(request.references))
    rows = [ways + (len(request.formats) if task == "predict" else 0) for task in request.tasks]
    written = len(request.formats) if "predict" in request.tasks else 0
    return written + sum(rows) * len(request.batch_sizes) * (1 + request.rounds)


class _Rounds:
    def __init__(
        self, packed: tuple[bytes, dict[str, Any]], data: Data, loss: str, request: Request, report: Report
    ) -> None:
        self._packed, self._data, self._loss = packed, data, loss
        self._request, self._report = request, report
        self.workers: dict[str, OwnWorker] = {}
        # The path of each format's artifact, or why there is none.
        self.artifacts: dict[str, Path | str] = {}

    def write_artifacts(self, model: Any, folder: Path) -> None:
        """Write the artifacts, in a process of their own."""
        with OwnWorker(backends.current_name()) as worker:
            for name in self._request.formats:
                self._report(f"write {name}")
                try:
                    path = worker.call(_write, self._packed, str(folder), name, timeout=self._request.timeout)
                    self.artifacts[name] = Path(path)
                except UnikerasError as error:
                    self.artifacts[name] = _reason(error)

    def measure(self, task: str, batch: int) -> list[Measurement]:
        """Return the measurements of one task at one batch size."""
        x, y = self._data.batch(batch)
        rows = [self._start(row, x, y) for row in self._rows(task, batch)]
        for number in range(self._request.rounds):
            for place in range(len(rows)):
                # Each round begins with another row: what ran before one leaves caches and clocks as it likes them.
                row = rows[(number + place) % len(rows)]
                self._report(f"{task}, batch {batch}: {row.found.label}")
                if row.found.error is None:
                    row.times += (
                        self._ask(rows, row, work.measure, row.found.way, self._request.seconds) or []
                    )
        return [self._finish(rows, row) for row in rows if row.found.error != _NOT_KNOWN]

    def _rows(self, task: str, batch: int) -> Iterator[_Row]:
        for name in self._request.backends:
            for way in ("unikeras", *self._request.references):
                yield _Row(self.workers[name], Measurement(name, way, task, batch))
        for name in self.artifacts if task == "predict" else ():
            yield _Row(self.workers[name], Measurement(name, "artifact", task, batch))

    def _start(self, row: _Row, x: Any, y: Any) -> _Row:
        found = row.found
        self._report(f"{found.task}, batch {found.batch}: first call of {found.label}")
        if found.way == "artifact":
            path = self.artifacts[found.name]
            if isinstance(path, str):
                row.fail(path)
                return row
            job = work.Job("artifact", found.task, x, artifact=str(path))
        else:
            y = y if found.task == "train" else None
            job = work.Job(found.way, found.task, x, y, self._packed, self._loss)
            self._ask([row], row, work.load)
        if row.found.error is None and (start := self._ask([row], row, work.prepare, job)):
            row.found = replace(row.found, first_s=start.first_s)
        return row

    def _ask(self, rows: list[_Row], row: _Row, f: Callable[..., Any], *args: Any) -> Any:
        """Return what a row's process answers; None, and the error noted in the row, where there is no answer.

        A process that ended takes with it what the other rows of it held.
        """
        try:
            return row.worker.call(f, *args, timeout=self._request.timeout)
        except work.Unknown:
            row.fail(_NOT_KNOWN)
        except UnikerasError as error:
            row.fail(error)
            if isinstance(error, WorkerDied | WorkerTimeout):
                for other in rows:
                    if other.worker is row.worker and other.found.error is None:
                        other.fail(f"its process ended while it ran {row.found.label}: {brief(error)}")
        return None

    def _finish(self, rows: list[_Row], row: _Row) -> Measurement:
        if row.found.error is not None:
            return row.found
        peak = self._ask(rows, row, work.finish, row.found.way)
        return replace(row.found, times_ms=tuple(1e3 * time for time in row.times), peak_mib=peak)


def _reason(error: BaseException) -> str:
    """Return what an error says, without the name of the function of ours in which another process raised it."""
    text = brief(error)
    return text.partition(" raised ")[2] or text if isinstance(error, RemoteError) else text


_NOT_KNOWN = "no hand-written loop is known for this model"


def _write(packed: tuple[bytes, dict[str, Any]], folder: str, format: str) -> str:
    """Write one artifact; return its path."""
    from unikeras._base.output_streams import hold_back_output

    with hold_back_output():
        model = archive.unpack(*packed)
        try:
            return str(export_model(model, folder, [format]).artifacts[0].path)
        except ExportError as error:
            if error.report is None:
                raise
            reason = error.report.artifacts[0].error or str(error)
            raise ExportError(reason) from None

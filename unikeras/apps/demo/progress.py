"""The progress bar of one backend's training, drawn on stderr by the worker itself."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Bar:
    """A bar with loss and accuracy; outside a terminal, only its last state is printed, as one line."""

    def __init__(self, backend: str, steps: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.4f}  accuracy {task.fields[accuracy]:6.2%}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            # Few redraws: the bar's thread shares the interpreter with the timed steps.
            refresh_per_second=4,
        )
        self._task = self._progress.add_task(backend, total=steps, loss=float("nan"), accuracy=0.0)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def step(self, loss: float) -> None:
        """Advance by one training step and show its loss."""
        self._progress.update(self._task, advance=1, loss=loss)

    def epoch(self, accuracy: float) -> None:
        """Show the validation accuracy, from 0 to 1, at the end of an epoch."""
        self._progress.update(self._task, accuracy=accuracy)

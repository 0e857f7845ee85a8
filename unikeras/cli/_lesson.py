"""A model trained for a chat, with a progress bar, and saved atomically."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from unikeras._base.files import written_atomically
from unikeras._base.output_streams import hold_back_output
from unikeras.export import mark_harmless


def give(path: Path, minutes: float, rounds: int | None, units: int | None, seed: int) -> None:
    """Train a model, save it, and print what it remembers.

    Args:
        path: the .keras file to write.
        minutes: training time.
        rounds: number of rounds of conversations, instead of minutes.
        units: of the LSTM; None for the default.
        seed: of weights and conversations.

    Raises:
        OutputError: the file cannot be written.
    """
    with hold_back_output():  # frameworks print as they are imported
        import unikeras as uk
        from unikeras.apps import chat

        model = chat.byte_model(seed=seed) if units is None else chat.byte_model(units, seed)
    console = Console(stderr=True)
    # Opened before the training, so that a folder without write access is reported at once.
    with written_atomically(path) as temporary:
        with _bar(console) as bar:
            task = bar.add_task(f"training on {uk.backend()}", total=1.0, loss=float("nan"))
            chat.train(
                model,
                minutes,
                rounds,
                seed,
                lambda progress: bar.update(task, completed=progress.part, loss=progress.loss),
            )
        model.save(temporary)
        mark_harmless(temporary)
    with console.status("measuring what it remembers, on unseen conversations"):
        found = chat.recall(model)
    console.print(f"right replies from memory: {found}", highlight=False)
    console.print(f"saved {path}", highlight=False, markup=False)


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:3.0f}%  loss {task.fields[loss]:.3f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        refresh_per_second=4,
    )

"""unikeras plot: the metrics of training runs as a picture."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    epilog="""\b
Examples:
  unikeras plot run.jsonl
  unikeras plot first.jsonl second.jsonl --metric accuracy -o accuracy.png"""
)
@click.argument("files", metavar="RUN.jsonl...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE.png",
    help="The picture; by default the first file's name with .png.",
)
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME", help="Draw this one only; may be repeated."
)
def plot(files: tuple[Path, ...], out: Path | None, metrics: tuple[str, ...]) -> None:
    """Draw what uk.callbacks.HistoryFile wrote, as a PNG file.

    A panel for each metric; training is dashed where there is validation. A star is the best epoch, a dotted line is
    where a run was resumed. Several files lie over each other.
    """
    from unikeras.callbacks import plot_history

    written = plot_history(files, out or files[0].with_suffix(".png"), metrics)
    click.echo(f"written: {written}")

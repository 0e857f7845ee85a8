"""unikeras demo: one training loop on every installed backend, the best model exported, a report."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from unikeras.cli import _completions
from unikeras.cli._failures import CommandFailed

# The environment of the workers, unless the user set it. TensorFlow's log lines would break up the progress
# bars. On images of 8 x 8 one OpenMP thread is as fast as several, which busy-wait for each other: on a
# loaded machine a PyTorch step took ten times as long with two threads as with one.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2"}
SMALL = {"OMP_NUM_THREADS": "1"}


@click.command(
    epilog="""\b
Examples:
  unikeras demo
  unikeras demo --backend torch --backend jax --epochs 3 --out two"""
)
@click.option(
    "--backend",
    "backends",
    multiple=True,
    metavar="NAME",
    shell_complete=_completions.backends,
    help="Backend to run on; repeatable. Default: all installed.",
)
@click.option(
    "--epochs", type=click.IntRange(min=1), help="Number of epochs. Default: 10, or 3 for large data sets."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out"),
    show_default=True,
    metavar="DIR",
    help="Output folder.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Your own images: a folder with one subfolder per class.",
)
@click.option(
    "--dataset",
    type=click.Choice(["digits", "mnist", "fashion_mnist", "cifar10"]),
    help="Data set to train on; digits (the default) needs no download.",
)
@click.option(
    "--json",
    "json_wanted",
    is_flag=True,
    help="Print the report as JSON to stdout, everything else to stderr.",
)
def demo(
    backends: tuple[str, ...],
    epochs: int | None,
    out: Path,
    data: Path | None,
    dataset: str | None,
    json_wanted: bool,
) -> None:
    """Train a small network on every installed backend with one loop; compare, export and report.

    Exit codes: 0 done; 1 a training, a comparison or an export failed; 2 wrong use, or something required
    is not installed.
    """
    if data is not None and dataset is not None:
        raise click.UsageError("--data and --dataset exclude each other: pass your own images or a known set")
    from unikeras.apps.demo import Settings, as_json, run

    settings = Settings(backends, epochs, out, dataset or "digits", data)
    small = data is None and settings.dataset == "digits"
    with _environment(QUIET | SMALL if small else QUIET):
        report = run(settings, Console(stderr=json_wanted))
    if json_wanted:
        click.echo(as_json(report))
    if report["failures"]:
        raise CommandFailed(report["failures"], _details(report))


@contextlib.contextmanager
def _environment(defaults: dict[str, str]) -> Iterator[None]:
    added = {name: value for name, value in defaults.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def _details(report: dict[str, Any]) -> str:
    """Return the tracebacks of what failed."""
    errors = [row["error"] or "" for row in (*report["backends"], *report["artifacts"])]
    return "\n\n".join(error for error in errors if "\n" in error)

"""unikeras demo: one training loop on every installed backend, the best model exported, a report."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console

# What workers start with, where the user has not said otherwise. TensorFlow's notes would tear the progress
# bars apart. On images of 8 x 8 one OpenMP thread is as fast as several, which wait for each other
# busily: on a busy machine a step of PyTorch took ten times as long with two as with one.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2"}
SMALL = {"OMP_NUM_THREADS": "1"}


@click.command()
@click.option(
    "--backend",
    "backends",
    multiple=True,
    metavar="NAME",
    help="Run on this backend; repeatable. Default: all installed.",
)
@click.option(
    "--epochs", type=click.IntRange(min=1), help="How often each image is seen. Default: what suits the data."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out"),
    show_default=True,
    metavar="DIR",
    help="The folder to write to.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Your own images: a folder with one sub-folder a class.",
)
@click.option(
    "--dataset",
    type=click.Choice(["digits", "mnist", "fashion_mnist", "cifar10"]),
    help="digits (the default) needs no network.",
)
@click.option(
    "--json", "json_wanted", is_flag=True, help="Print the report as JSON on stdout, everything else on stderr."
)
@click.option("--debug", is_flag=True, help="Print the tracebacks of what failed.")
@click.pass_context
def demo(
    context: click.Context,
    backends: tuple[str, ...],
    epochs: int | None,
    out: Path,
    data: Path | None,
    dataset: str | None,
    json_wanted: bool,
    debug: bool,
) -> None:
    """Train one small network on every installed backend by one loop, compare, export and report.

    Exit codes: 0 done; 1 a training, a comparison or an export failed; 2 wrong use, or something needed
    is not installed.
    """
    if data is not None and dataset is not None:
        raise click.UsageError("--data and --dataset exclude each other: name your own images or a known set")
    from unikeras.demo import Settings, as_json, run

    settings = Settings(backends, epochs, out, dataset or "digits", data)
    small = data is None and settings.dataset == "digits"
    with _environment(QUIET | SMALL if small else QUIET):
        report = run(settings, Console(stderr=json_wanted))
    if json_wanted:
        click.echo(as_json(report))
    if report["failures"]:
        _tell(report, debug)
        context.exit(1)


@contextlib.contextmanager
def _environment(defaults: dict[str, str]) -> Iterator[None]:
    added = {name: value for name, value in defaults.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def _tell(report: dict[str, Any], debug: bool) -> None:
    for failure in report["failures"]:
        click.echo(f"failed: {failure}", err=True)
    details = [row["error"] for row in (*report["backends"], *report["artifacts"]) if row["error"]]
    if debug:
        click.echo("\n\n".join(details), err=True)
    elif any("\n" in text for text in details):
        click.echo("--debug prints the tracebacks", err=True)

"""unikeras compare: where a model differs between backends, or from another model, an artifact or a torch module."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from unikeras.cli import _completions

# Apart from 1, which says that the comparison itself failed.
DIFFERENT = 3


@click.command(
    epilog="""\b
Examples:
  unikeras compare model.keras
  unikeras compare model.keras --against model.onnx --out parity"""
)
@click.argument("model", metavar="MODEL.keras|MODULE:FUNCTION", shell_complete=_completions.files)
@click.option(
    "--against",
    metavar="OTHER",
    shell_complete=_completions.files,
    help="Compare on one backend with another .keras file, an artifact, or what module:function returns: a Keras model "
    "or a torch module.",
)
@click.option(
    "--backends",
    metavar="NAMES",
    help="Backends, separated by commas, or all (the default).",
    shell_complete=_completions.backend_lists,
)
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.npz",
    help="Inputs by name, or x; and y.",
)
@click.option("--rtol", type=float, help="Relative tolerance; 2e-5 for float32 without it.")
@click.option("--atol", type=float, help="Absolute tolerance; 1e-6 for float32 without it.")
@click.option("--steps", type=click.IntRange(min=0), default=5, show_default=True, help="Training steps.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of samples that are made up.")
@click.option("--same-weights", is_flag=True, help="Give the second Keras model the first one's weights.")
@click.option("--timeout", type=float, metavar="SECONDS", help="For each backend.")
@click.option("--trust", is_flag=True, help="Open an artifact that can run its maker's code.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document to stdout, and nothing else.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write parity.html and parity.json there.",
)
def compare(
    model: str,
    against: str | None,
    backends: str | None,
    data: Path | None,
    as_json: bool,
    out: Path | None,
    **options: Any,
) -> None:
    """Find the first layer where a model differs between backends, or from something else on one backend.

    Forward pass, loss, gradients and training steps are compared layer by layer, on the same weights and data. Exit
    codes: 0 equal; 3 different; 1 the comparison failed, or a backend did; 2 wrong use, or something required is not
    installed.
    """
    names = None if backends is None else [name.strip() for name in backends.split(",") if name.strip()]
    report = _compared(model, against, data, names, options)
    if out is not None:
        for suffix in ("html", "json"):
            report.save(out / f"parity.{suffix}")
    _show(report, as_json)
    if report.first is not None:
        raise click.exceptions.Exit(DIFFERENT)
    if not report.equal:
        from unikeras.cli._failures import CommandFailed

        raise CommandFailed([f"{side.name}: {side.error}" for side in report.sides if side.error])


def _compared(
    model: str, against: str | None, data: Path | None, backends: list[str] | None, options: dict[str, Any]
) -> Any:
    """Return the report; what frameworks and models print is held back, so that stdout and the bar stay clean."""
    from unikeras._base.output_streams import hold_back_output
    from unikeras.errors import UnikerasError

    refusal = None
    with _bar() as show, hold_back_output():
        try:
            import unikeras as uk
            from unikeras.cli._compared_models import named

            other = None if against is None else named(against)
            return uk.compare.parity(named(model), data, None, backends, other, progress=show, **options)
        except UnikerasError as error:  # raised outside, or what was held back would be shown
            refusal = error
    raise refusal


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    """Draw a progress bar on what stderr is now."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with (
        os.fdopen(os.dup(2), "w") as stderr,
        Progress(*columns, console=Console(file=stderr), transient=True, disable=not os.isatty(2)) as bar,
    ):
        task = bar.add_task("loading", total=None)
        yield lambda name, done, total: bar.update(task, description=name, completed=done, total=total)


def _show(report: Any, as_json: bool) -> None:
    if as_json:
        click.echo(report.to_json())
        return
    from rich.console import Console

    Console().print(report)

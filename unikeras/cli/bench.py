"""unikeras bench: which backend, or which exported format, is fastest for a model on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from unikeras.cli import _completions
from unikeras.cli._built_models import built


@click.command(
    epilog="""\b
Examples:
  unikeras bench model.keras
  unikeras bench model.keras --predict --artifacts onnx --out bench"""
)
@click.argument("model", metavar="MODEL.keras|MODULE:FUNCTION", shell_complete=_completions.files)
@click.option("--train", is_flag=True, help="Measure training; without --train and --predict, both are.")
@click.option("--predict", is_flag=True, help="Measure prediction.")
@click.option("--batch", default="1,64", show_default=True, metavar="SIZES", help="Batch sizes.")
@click.option(
    "--backends",
    default="all",
    show_default=True,
    metavar="NAMES",
    help="Backends.",
    shell_complete=_completions.backend_lists,
)
@click.option(
    "--artifacts",
    default="",
    metavar="FORMATS",
    help="Formats to predict with, such as onnx,pt2.",
    shell_complete=_completions.formats,
)
@click.option(
    "--references",
    default="hand-written",
    show_default=True,
    metavar="NAMES",
    shell_complete=_completions.references,
    help="What to measure beside unikeras: hand-written, keras, or nothing (an empty text).",
)
@click.option("--data", type=click.Path(exists=True, path_type=Path), metavar="FILE.npz", help="Arrays x, y.")
@click.option("--rounds", type=int, default=5, show_default=True, help="Turns of each row.")
@click.option("--seconds", type=float, default=0.3, show_default=True, help="Length of a turn.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document to stdout, and nothing else.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write bench.html, bench.json and bench.png there.",
)
def bench(
    model: str,
    train: bool,
    predict: bool,
    batch: str,
    backends: str,
    artifacts: str,
    references: str,
    data: Path | None,
    rounds: int,
    seconds: float,
    as_json: bool,
    out: Path | None,
) -> None:
    """Measure a model under each backend and in each format, and say which is fastest here.

    The model is a saved file, or module:function that builds it. Names and sizes are separated by commas. Without
    --data, seeded samples of what the model declares are used. Exit codes: 0 done, also where a row failed; 1 every row
    failed; 2 wrong use, or something required is not installed.
    """
    from unikeras.cli._failures import CommandFailed
    from unikeras.compare import benchmark

    subject = built(model)
    x, y = _arrays(data)
    both = not train and not predict
    result = benchmark(
        subject,
        x,
        y,
        backends=_names(backends),
        artifacts=_names(artifacts),
        batch_sizes=[int(size) if size.isdecimal() else size for size in _names(batch)],  # type: ignore[misc]
        train=train or both,
        predict=predict or both,
        references=_names(references),
        rounds=rounds,
        seconds=seconds,
    )
    if out is not None:
        _save(result, out)
    _show(result, as_json)
    if all(row.error is not None for row in result.rows):
        raise CommandFailed(list(dict.fromkeys(f"{row.label}: {row.error}" for row in result.rows)))


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _arrays(path: Path | None) -> tuple[Any, Any]:
    """Return x and y of a file; several inputs are arrays named `x/<input>`."""
    if path is None:
        return None, None
    import numpy as np

    from unikeras.errors import ArgumentValueError

    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ArgumentValueError(f"{path} is no file of numpy.savez: {error}") from error
    named = {name.removeprefix("x/"): array for name, array in arrays.items() if name.startswith("x/")}
    x = named or arrays.get("x")
    if x is None:
        raise ArgumentValueError(
            f"{path} holds {', '.join(arrays) or 'nothing'}; expected x, or x/<input> for each input, and y to train"
        )
    return x, arrays.get("y")


def _save(result: Any, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in ("html", "json", "png"):
        result.save(folder / f"bench.{suffix}")


def _show(result: Any, as_json: bool) -> None:
    if as_json:
        click.echo(result.to_json())
        return
    from rich.console import Console

    Console().print(result)

"""unikeras graph: the layers of a model, or what one of its steps runs, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from unikeras.cli import _completions


@click.command(
    epilog="""\b
Examples:
  unikeras graph model.keras
  unikeras graph model.keras --step train --out graph.html
"""
)
@click.argument("model", metavar="MODEL.keras|MODULE:FUNCTION", shell_complete=_completions.files)
@click.option(
    "--step",
    type=click.Choice(["train", "test", "predict"]),
    help="Draw the program of this step on the backend that runs, in place of the layers.",
)
@click.option(
    "--batch", default=8, show_default=True, type=click.IntRange(1), help="Examples of the step's batch."
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a file instead of text: .html, .svg, .txt or .json.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object to stdout.")
def graph(model: str, step: str | None, batch: int, out: Path | None, as_json: bool) -> None:
    """Draw the layers of a saved model, or the program that a backend runs for one of its steps.

    A step is traced on zeros; a train step needs a model that was compiled before it was saved. Netron
    (https://netron.app) draws exported artifacts.
    """
    from unikeras._base.output_streams import hold_back_output
    from unikeras.cli._built_models import built

    loaded = built(model, compiled=step is not None)
    with hold_back_output():
        drawing = _drawn(loaded, step, batch)
        if out is not None:
            drawing.save(out)
        text = drawing.to_json() if as_json else drawing.text
    if as_json or out is None:
        click.echo(text)
    else:
        click.echo(f"written: {out}")


def _drawn(model: Any, step: str | None, batch: int) -> Any:
    import unikeras as uk

    return uk.graph(model) if step is None else uk.graph(model, _zeros(model, step, batch), step=step)


def _zeros(model: Any, step: str, batch: int) -> Any:
    """Return a batch that fits a model: zeros, and for training targets too, which are seeded."""
    import keras
    import numpy as np

    from unikeras._keras.graph import inputs_of
    from unikeras.compare import make_targets
    from unikeras.errors import ArgumentError

    def zeros(symbol: Any) -> Any:
        shape = (batch, *(size or 16 for size in symbol.shape[1:]))
        return np.zeros(shape, keras.backend.standardize_dtype(symbol.dtype))

    if not getattr(model, "inputs", None):
        raise ArgumentError(
            f"model {model.name!r} does not say its inputs, so no batch can be made for a step; call "
            f"uk.graph(model, batch, step={step!r}) in Python"
        )
    x = keras.tree.map_structure(zeros, inputs_of(model))
    return x if step == "predict" else (x, make_targets(model, model(x), seed=0))

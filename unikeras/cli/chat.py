"""unikeras chat: a conversation with a byte-level model that remembers, in the terminal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from unikeras.cli._model_files import SUFFIXES, loaded

# TensorFlow's log lines would break up the progress bar and the conversation.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2"}


@click.command(
    epilog="""\b
Examples:
  unikeras chat model.keras --train --session alice
  unikeras chat model.keras --session alice --say 'who am i'"""
)
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL")
@click.option(
    "--store",
    default="memory.db",
    show_default=True,
    metavar="STORE",
    help="Where sessions are stored: a file, memory: (not stored), or redis://host:port/db.",
)
@click.option("--session", default="default", show_default=True, metavar="NAME", help="Session id.")
@click.option(
    "--say",
    "lines",
    multiple=True,
    metavar="TEXT",
    help="Send this line, print the reply and exit; repeatable.",
)
@click.option("--forget", is_flag=True, help="Delete the stored session first.")
@click.option(
    "--temperature",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="0 for the likeliest reply; higher values vary replies.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Seed of sampling and training.")
@click.option(
    "--length",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Maximum number of bytes in a reply.",
)
@click.option("--train", is_flag=True, help="Train a small model first and save it as MODEL.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=3.0,
    show_default=True,
    help="Training time in minutes.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    metavar="N",
    help="Train for N rounds of 512 conversations instead.",
)
@click.option("--units", type=click.IntRange(min=1), help="Units of the LSTM to train.")
@click.option("--overwrite", is_flag=True, help="Replace MODEL with a newly trained one.")
@click.option(
    "--trust",
    is_flag=True,
    help="Open MODEL although its format runs code. Only for files from people you trust.",
)
def chat(
    model: Path,
    store: str,
    session: str,
    lines: tuple[str, ...],
    forget: bool,
    temperature: float,
    seed: int | None,
    length: int,
    train: bool,
    minutes: float,
    rounds: int | None,
    units: int | None,
    overwrite: bool,
    trust: bool,
) -> None:
    """Chat with a model that remembers each session, across processes and backends.

    MODEL is a .keras file, or an exported artifact with states. It takes bytes as integers (batch, time) and
    returns logits of the next byte (batch, time, classes). Lines come from the terminal, from --say or from a pipe.

    Exit codes: 0 done; 1 a session cannot be used; 2 wrong use, or something required is not installed.
    """
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    _check(model, train, overwrite)
    if train:
        from unikeras.cli import _lesson

        _lesson.give(model, minutes, rounds, units, seed or 0)
    from unikeras._base.output_streams import hold_back_output
    from unikeras.apps.chat import Chat
    from unikeras.cli._talk import Talk

    with hold_back_output():  # frameworks print as they are imported
        made = Chat(_load(model, trust), store, temperature=temperature, seed=seed, length=length)
    with made:
        talk = Talk(made, session, f"{model.name} in {store}")
        if forget:
            made.sessions.forget(session)
        talk.hold(lines)


def _check(path: Path, train: bool, overwrite: bool) -> None:
    """Refuse paths that cannot be used, before a framework is loaded."""
    from unikeras.errors import ArgumentError, OutputError

    if train and path.suffix != ".keras":
        raise ArgumentError(f"--train saves a file whose name ends in .keras; received {path}")
    try:
        exists = path.exists()
    except (OSError, ValueError) as error:  # a name too long
        raise ArgumentError(f"{str(path)[:80]!r} is not a valid file name: {error}") from error
    if train and exists and not overwrite:
        raise OutputError(
            f"{path} exists, and a new model cannot use its sessions; chat without --train, or pass --overwrite"
        )
    if not train and not exists:
        way = f"`unikeras chat {path.with_suffix('.keras')} --train` makes a small one in minutes"
        raise ArgumentError(f"no model at {path}; {way}")


def _load(path: Path, trust: bool) -> Any:
    if path.suffix.lower() in SUFFIXES:
        return loaded(path)
    import unikeras as uk

    return uk.load_artifact(path, trust=trust)

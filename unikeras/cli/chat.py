"""unikeras chat: a conversation with a byte-level model that remembers, in the terminal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from unikeras.cli._model_files import SUFFIXES, loaded

# TensorFlow's notes would tear the progress bar and the conversation apart.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2"}


@click.command()
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL")
@click.option(
    "--store",
    default="memory.db",
    show_default=True,
    metavar="STORE",
    help="Where memory is kept: a file, memory: for none, or redis://host:port/db.",
)
@click.option("--session", default="default", show_default=True, metavar="NAME", help="Whose memory it is.")
@click.option(
    "--say", "lines", multiple=True, metavar="TEXT", help="Say this, print the reply and end; repeatable."
)
@click.option("--forget", is_flag=True, help="Delete what is remembered of the session first.")
@click.option("--temperature", type=click.FloatRange(min=0), default=0.0, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), help="Of chance, in replies and in training.")
@click.option(
    "--length",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Bytes in a reply at most.",
)
@click.option("--train", is_flag=True, help="Train a small model first and save it as MODEL.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=3.0,
    show_default=True,
    help="How long to train.",
)
@click.option("--rounds", type=click.IntRange(min=1), help="Train on as often 512 conversations, instead.")
@click.option("--units", type=click.IntRange(min=1), help="Of the LSTM to train.")
@click.option("--overwrite", is_flag=True, help="Replace MODEL by a newly trained one.")
@click.option("--trust", is_flag=True, help="Open MODEL although its format runs code; know who made it.")
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
    """Chat with a model that remembers each session, whenever the process ends and whatever backend runs it.

    MODEL is a .keras file, or an exported artifact with memory. It takes bytes as integers (batch, time) and
    returns logits of the next one (batch, time, classes). Lines come from the terminal, from --say or from a pipe.

    Exit codes: 0 done; 1 a session's memory cannot be used; 2 wrong use, or something needed is not installed.
    """
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    _check(model, train, overwrite)
    if train:
        from unikeras.cli import _lesson

        _lesson.give(model, minutes, rounds, units, seed or 0)
    from unikeras._base.quiet import quiet
    from unikeras.apps.chat import Chat
    from unikeras.cli._talk import Talk

    with quiet():  # frameworks and runtimes greet
        made = Chat(_load(model, trust), store, temperature=temperature, seed=seed, length=length)
    with made:
        talk = Talk(made, session, f"{model.name} in {store}")
        if forget:
            made.sessions.forget(session)
        talk.hold(lines)


def _check(path: Path, train: bool, overwrite: bool) -> None:
    """Refuse what cannot be, before a framework is loaded."""
    from unikeras.errors import ArgumentError, OutputError

    if train and path.suffix != ".keras":
        raise ArgumentError(f"a trained model is saved as a file whose name ends in .keras; received {path}")
    try:
        exists = path.exists()
    except (OSError, ValueError) as error:  # a name too long
        raise ArgumentError(f"{str(path)[:80]!r} is no name of a file: {error}") from error
    if train and exists and not overwrite:
        raise OutputError(
            f"{path} exists, and what sessions remember would be lost with it; chat without --train, "
            "or pass --overwrite"
        )
    if not train and not exists:
        way = f"`unikeras chat {path.with_suffix('.keras')} --train` makes a small one in minutes"
        raise ArgumentError(f"there is no model at {path}; {way}")


def _load(path: Path, trust: bool) -> Any:
    if path.suffix.lower() in SUFFIXES:
        return loaded(path)
    import unikeras as uk

    return uk.load_artifact(path, trust=trust)

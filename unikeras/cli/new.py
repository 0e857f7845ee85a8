"""unikeras new: a small project that passes its own tests."""

from __future__ import annotations

import importlib.util
import shlex
from pathlib import Path

import click

from unikeras.apps.project import TEMPLATES, write_project


@click.command(
    epilog="""\b
Examples:
  unikeras new digits
  unikeras new faces --template gan"""
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--template",
    type=click.Choice(list(TEMPLATES)),
    default="image",
    show_default=True,
    help="; ".join(f"{name}: {does}" for name, does in TEMPLATES.items()) + ".",
)
def new(folder: Path, template: str) -> None:
    """Write a small project into a new folder: model, data, training, tests, and tox for each backend."""
    files = write_project(folder, template)
    click.echo(f"written: {folder} ({', '.join(map(str, files))})")
    install = "" if importlib.util.find_spec("pytest") else "python -m pip install pytest && "
    click.echo(f"next:    cd {shlex.quote(str(folder))} && {install}python -m pytest && python train.py")

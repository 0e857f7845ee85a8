"""unikeras doctor: what is installed, which backend runs, and what to do if none can."""

from __future__ import annotations

import json
from dataclasses import asdict

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from unikeras._keras import hooks
from unikeras.cli._diagnosis import Backend, Diagnosis, diagnose
from unikeras.errors import BackendUnavailable


@click.command(
    epilog="""\b
Examples:
  unikeras doctor
  KERAS_BACKEND=torch unikeras doctor --json"""
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object to stdout.")
@click.option(
    "--hooks", "show_hooks", is_flag=True, help="List what is replaced in Keras, and why; nothing else."
)
def doctor(as_json: bool, show_hooks: bool) -> None:
    """Show what is installed, which backend runs, and on which devices.

    Each framework is checked in its own process, so a broken one does not affect the others. Exit codes: 0
    if the chosen backend can run; 2 if it cannot, or none is installed.
    """
    if show_hooks:
        _print_hooks(as_json)
        return
    with Console(stderr=True).status("asking each backend for its devices"):
        diagnosis = diagnose()
    if as_json:
        click.echo(json.dumps(diagnosis.as_dict(), indent=2))
    else:
        _show(diagnosis, Console())
    if diagnosis.problem is not None:
        raise BackendUnavailable(diagnosis.problem)


def _print_hooks(as_json: bool) -> None:
    rows = [{**asdict(hook), "installed": hooks.is_installed(hook.attribute)} for hook in hooks.TABLE]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    console = Console()
    console.print("unikeras replaces these attributes of Keras when they are first needed.")
    for row in rows:
        state = Text("installed", "green") if row["installed"] else Text("not installed", "dim")
        console.print(Text.assemble("\n", (row["attribute"], "bold"), "  ", state))
        grid = Table.grid(padding=(0, 1), pad_edge=True)
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row("why", Text(row["why"]))
        grid.add_row("upstream", Text(row["upstream"]))
        grid.add_row("removable when", Text(row["until"]))
        console.print(Padding(grid, (0, 0, 0, 1)))


def _show(diagnosis: Diagnosis, console: Console) -> None:
    # Text, not markup: brackets in a pip line would be read as a style.
    keras = diagnosis.keras or "not installed"
    console.print(Text(f"unikeras {diagnosis.unikeras}, Keras {keras}, Python {diagnosis.python}"))
    console.print(Text(diagnosis.platform, style="dim"))
    console.print(_backends(diagnosis))
    chosen = Text.assemble("backend in use: ", (str(diagnosis.chosen), "bold"), f" ({diagnosis.reason})")
    console.print(chosen)
    console.print(_extras(diagnosis))
    problem = diagnosis.sqlite.problem
    console.print(
        Text(
            f"SQLite {diagnosis.sqlite.version}{f': {problem}' if problem else ''}",
            "yellow" if problem else "",
        )
    )


def _backends(diagnosis: Diagnosis) -> Table:
    table = Table("backend", "version", "devices", box=SIMPLE, pad_edge=False)
    for backend in diagnosis.backends:
        style = "bold" if backend.name == diagnosis.chosen else ""
        table.add_row(Text(backend.name, style), Text(backend.version or "-"), _state(backend))
    return table


def _state(backend: Backend) -> Text:
    if backend.error is not None:
        return Text(backend.error, "red")
    if backend.devices is None:
        return Text(f"not installed: {backend.install}", "dim")
    return Text(", ".join(backend.devices), "green")


def _extras(diagnosis: Diagnosis) -> Table:
    table = Table("extra", "state", box=SIMPLE)
    for extra in diagnosis.extras:
        state = Text("installed", "green")
        if extra.missing:
            state = Text(f"without {', '.join(extra.missing)}: {extra.install}", "dim")
        table.add_row(extra.name, state)
    return table

"""unikeras formats: the formats available here, their toolchains, and how to get the others."""

from __future__ import annotations

import dataclasses
import json

import click


@click.command(
    epilog="""\b
Examples:
  unikeras formats
  unikeras formats --json"""
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array to stdout.")
def formats(as_json: bool) -> None:
    """List the formats available here, their toolchains, and how to get the others."""
    import unikeras as uk

    rows = uk.export_formats()
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
        return
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("format", "suffix", "written by", box=SIMPLE)
    for row in rows:
        # Text, not markup: the brackets of a pip line would be read as a style.
        state = Text(", ".join(row.routes)) if row.available else Text(row.reason, "dim")
        table.add_row(Text(row.format, "bold" if row.available else ""), row.suffix or "a folder", state)
    Console().print(table)

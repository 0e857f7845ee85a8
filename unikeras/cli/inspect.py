"""unikeras inspect: what an exported model takes, gives and says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def inspect(path: Path, as_json: bool) -> None:
    """Show the format, inputs, outputs, memory, free axes, metadata and size of an exported model."""
    import unikeras as uk
    from unikeras._quiet import quiet

    with quiet():  # runtimes greet
        artifact = uk.load_artifact(path)
    found = describe(path, artifact)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _show(found)


def describe(path: Path, artifact: Any) -> dict[str, Any]:
    """Return what there is to say of an artifact, as data for JSON.

    Args:
        path: where it stands.
        artifact: what `load_artifact` returned for it.
    """
    from unikeras.export._formats import FORMATS
    from unikeras.export._targets import files_of

    row = FORMATS[artifact.format]
    beside = row.beside if row.beside and path.with_suffix(row.beside).is_file() else ""
    files = {str(file): file.stat().st_size for file in files_of(path, beside)}
    signature = artifact.signature.to_dict()
    metadata = {
        name: value for name, value in artifact.metadata.items() if name not in ("signature", "memory")
    }
    return {
        "path": str(path),
        "format": artifact.format,
        "bytes": sum(files.values()),
        "files": files,
        "inputs": signature["inputs"],
        "outputs": signature["outputs"],
        "memory": artifact.metadata.get("memory"),
        "metadata": metadata,
    }


def _show(found: dict[str, Any]) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    console.print(Text(f"{found['path']}: {found['format']}, {found['bytes']:,} bytes"))
    table = Table("", "name", "dtype", "shape", box=SIMPLE)
    for side in ("inputs", "outputs"):
        for row in found[side]:
            table.add_row(side[:-1], Text(row["name"]), row["dtype"] or "?", _shape(row))
    console.print(table)
    if found["memory"]:
        console.print(_memory(found["memory"]))
    if not found["metadata"]:
        console.print("no metadata: unikeras did not write it")
        return
    facts = Table.grid(padding=(0, 2))
    for name, value in found["metadata"].items():
        facts.add_row(Text(name, "dim"), Text(_fact(value)))
    console.print(facts)


def _memory(memory: dict[str, Any]) -> Any:
    """Return what is carried from step to step, as lines."""
    from rich.text import Text

    lines = [f"memory of model {memory['fingerprint'][:12]}, which each step takes and returns:"]
    for row in memory["states"]:
        shape = ", ".join(map(str, ["batch", *row["shape"]]))
        lines.append(f"  {row['layer']}/{row['name']}: {row['dtype']} ({shape})")
    return Text("\n".join(lines) + "\n")


def _shape(row: dict[str, Any]) -> str:
    """Return a shape with the names of its free axes."""
    if row["shape"] is None:
        return "?"
    names = iter(row["axes"])
    return f"({', '.join(next(names, '?') if size is None else str(size) for size in row['shape'])})"


def _fact(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)

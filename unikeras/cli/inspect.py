"""unikeras inspect: the inputs, outputs and metadata of an exported model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


@click.command(
    epilog="""\b
Examples:
  unikeras inspect model.onnx
  unikeras inspect out/model --json"""
)
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--trust", is_flag=True, help="Open a file whose format runs code. Only for files from people you trust."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object to stdout.")
def inspect(path: Path, trust: bool, as_json: bool) -> None:
    """Show the format, inputs, outputs, states, dynamic axes, metadata and size of an exported model.

    A TorchScript file or a SavedModel from elsewhere is not opened, because that would run its code; only its
    own metadata is shown. --trust opens it.
    """
    import unikeras as uk
    from unikeras._base.output_streams import hold_back_output
    from unikeras.errors import UnsafeArtifact
    from unikeras.export import read_header

    try:
        with hold_back_output():  # runtimes print as they load
            found = describe(path, uk.load_artifact(path, trust=trust))
    except UnsafeArtifact:
        header = read_header(path)
        if header is None:
            raise
        found = describe_header(path, *header)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _show(found)


def describe(path: Path, artifact: Any) -> dict[str, Any]:
    """Return the facts about an artifact, as data for JSON.

    Args:
        path: where it is.
        artifact: what `load_artifact` returned for it.
    """
    return _described(path, artifact.format, artifact.signature.to_dict(), artifact.metadata)


def describe_header(path: Path, format: str, header: Any) -> dict[str, Any]:
    """Return the metadata of a file that was not opened.

    Args:
        path: where it is.
        format: its format.
        header: from `read_header`.
    """
    from unikeras.export import Signature

    said = header.metadata.get("signature")
    signature = Signature.from_dict(said).to_dict() if said else {"inputs": [], "outputs": []}
    found = _described(path, format, signature, header.metadata)
    return {**found, "opened": False, "file_operators": header.touches}


def _described(path: Path, format: str, signature: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    from unikeras.export import artifact_files

    files = {str(file): file.stat().st_size for file in artifact_files(path, format)}
    return {
        "path": str(path),
        "format": format,
        "opened": True,
        "bytes": sum(files.values()),
        "files": files,
        "inputs": signature["inputs"],
        "outputs": signature["outputs"],
        "memory": said.get("memory"),
        "metadata": {name: value for name, value in said.items() if name not in ("signature", "memory")},
    }


def _show(found: dict[str, Any]) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    from unikeras._base.text import fact
    from unikeras.export import netron_note

    console = Console()
    console.print(_text(f"{found['path']}: {found['format']}, {found['bytes']:,} bytes"))
    if not found["opened"]:
        console.print(_warning(found["file_operators"]))
    table = Table("", "name", "dtype", "shape", box=SIMPLE)
    for side in ("inputs", "outputs"):
        for row in found[side]:
            table.add_row(side[:-1], _text(row["name"]), _text(row["dtype"] or "?"), _text(_shape(row)))
    console.print(table)
    if found["memory"]:
        console.print(_memory(found["memory"]))
    if not found["metadata"]:
        console.print("no metadata: unikeras did not write it")
    else:
        facts = Table.grid(padding=(0, 2))
        for name, value in found["metadata"].items():
            facts.add_row(_text(name, "dim"), _text(fact(value)))
        console.print(facts)
    console.print(_text(netron_note(Path(found["path"])), "dim"))


def _memory(memory: dict[str, Any]) -> Any:
    """Return the states, as lines."""
    lines = [f"memory of model {memory['fingerprint'][:12]}, which each step takes and returns:"]
    for row in memory["states"]:
        shape = ", ".join(map(str, ["batch", *row["shape"]]))
        lines.append(f"  {row['layer']}/{row['name']}: {row['dtype']} ({shape})")
    return _text("\n".join(lines) + "\n")


def _warning(operators: list[str]) -> Any:
    """Return the warning about a file that was not opened."""
    text = (
        "not opened, because opening it runs its code; all below is what it says of itself; --trust opens it"
    )
    if operators:
        text += f"\noperators that touch files or call Python: {', '.join(operators)}"
    return _text(text, "yellow")


def _text(text: str, style: str = "") -> Any:
    """Return a text of a file as it is, without markup or control characters in effect."""
    from rich.text import Text

    from unikeras._base.printable import printable

    return Text(printable(str(text)), style)


def _shape(row: dict[str, Any]) -> str:
    """Return a shape with the names of its dynamic axes."""
    if row["shape"] is None:
        return "?"
    names = iter(row["axes"])
    return f"({', '.join(next(names, '?') if size is None else str(size) for size in row['shape'])})"

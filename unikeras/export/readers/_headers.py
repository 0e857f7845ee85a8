"""What formats that run code say of themselves, read without running any: TorchScript and SavedModel."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unikeras.export._metadata import FILE, loads
from unikeras.export.readers._agreement import parse_signature, reconcile_state
from unikeras.export.readers._operators import TENSORFLOW_FILES, tensorflow_operators, torch_files
from unikeras.export.verify.bounds import PREFIX, Bounds


@dataclass
class Header:
    """What a file says of itself; nobody ran it.

    Attributes:
        metadata: what `export_model` wrote into it; empty where something else made it.
        touches: the operators in it that read or write files, or call Python.
    """

    metadata: dict[str, Any] = field(default_factory=dict)
    touches: list[str] = field(default_factory=list)


def header_of(format: str, path: Path, bounds: Bounds) -> Header:
    """Return what an artifact says of itself.

    Raises:
        ValueError: it is none of this format.
    """
    header = (_torchscript if format == "torchscript" else _saved_model)(path, bounds)
    if header.metadata:
        reconcile_state(header.metadata.get("memory"), parse_signature(header.metadata["signature"]))
    return header


def _torchscript(path: Path, bounds: Bounds) -> Header:
    try:
        with zipfile.ZipFile(path) as archive:
            return _of_archive(archive, bounds)
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise ValueError(str(error)) from error


def _of_archive(archive: zipfile.ZipFile, bounds: Bounds) -> Header:
    rows = archive.infolist()
    check_sizes(rows, bounds)
    inner = {row.filename.partition("/")[2]: row for row in rows}
    if "data.pkl" not in inner or "constants.pkl" not in inner:
        raise ValueError("it holds no TorchScript module")
    code = [row for name, row in inner.items() if name.startswith("code/") and name.endswith(".py")]
    touches = {name for row in code for name in torch_files(_text(archive, row, bounds))}
    note = inner.get(f"extra/{FILE}")
    return Header(loads(_text(archive, note, bounds) if note else None), sorted(touches))


def check_sizes(rows: list[zipfile.ZipInfo], bounds: Bounds) -> None:
    """Refuse an archive that says it holds more than the bound."""
    total = sum(row.file_size for row in rows)
    if total > bounds.bytes:
        raise ValueError(f"it unpacks to {total:,} bytes; {PREFIX}BYTES raises the bound of {bounds.bytes:,}")


def check_text(row: zipfile.ZipInfo, bounds: Bounds) -> None:
    """Refuse a text in an archive that says it is longer than the bound."""
    if row.file_size > bounds.text:
        raise ValueError(
            f"{row.filename} has {row.file_size:,} bytes; {PREFIX}TEXT raises the bound of {bounds.text:,}"
        )


def _text(archive: zipfile.ZipFile, row: zipfile.ZipInfo, bounds: Bounds) -> str:
    check_text(row, bounds)
    with archive.open(row) as opened:  # which reads no more than the size that was checked
        return io.TextIOWrapper(opened, "utf-8").read()


def _saved_model(path: Path, bounds: Bounds) -> Header:
    graph, note = path / "saved_model.pb", path / "assets.extra" / FILE
    if not graph.is_file():
        raise ValueError("it lacks saved_model.pb")
    operators = set(tensorflow_operators(graph.read_bytes()))
    if "VarHandleOp" in operators and not (path / "variables" / "variables.index").is_file():
        raise ValueError("it lacks its variables")
    metadata = loads(note.read_bytes() if note.is_file() else None)
    return Header(metadata, sorted(filter(TENSORFLOW_FILES.fullmatch, operators)))

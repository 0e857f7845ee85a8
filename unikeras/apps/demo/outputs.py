"""The folder of a run: its files belong to the report in it, and each is written atomically."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from unikeras.errors import OutputError

CHECKPOINT = "best.keras"
ARTIFACTS = {"saved_model": "model", "torchscript": "model.pt", "onnx": "model.onnx"}
REPORT, PAGE, CURVES = "report.json", "report.html", "curves.png"


def check(folder: Path) -> None:
    """Check that a run can write to a folder, and replaces only files of an earlier run.

    Raises:
        OutputError: the folder cannot be created or written to, or a file that no earlier run wrote has a
            name that the run uses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"cannot write to {folder}: {error.strerror or error}; choose another folder with --out"
        ) from error
    taken = [
        name for name in (CHECKPOINT, *ARTIFACTS.values(), REPORT, PAGE, CURVES) if (folder / name).exists()
    ]
    if taken and not _is_ours(folder):
        raise OutputError(
            f"{folder} holds {', '.join(taken)}, which no earlier run of the demo wrote; choose another "
            "folder with --out, or move them away"
        )


def _is_ours(folder: Path) -> bool:
    try:
        return "unikeras" in json.loads((folder / REPORT).read_text())
    except (OSError, ValueError, TypeError):
        return False


def clear(folder: Path, keep: Collection[str] = ()) -> None:
    """Remove the models of an earlier run that this run did not replace.

    Args:
        folder: the folder of the run.
        keep: the names of the models that this run wrote.
    """
    for name in {CHECKPOINT, *ARTIFACTS.values()}.difference(keep):
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with written_atomically(path) as partial:
        partial.write_bytes(content)


@contextlib.contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """Yield a path to write to; the file there replaces `path` when the block ends without an error.

    Raises:
        OutputError: the file cannot be written.
    """
    partial = path.with_name(f".partial-{path.name}")  # one name, so that killed runs leave one file at most
    try:
        partial.unlink(missing_ok=True)
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def as_json(report: dict[str, Any]) -> str:
    """Return a report as strict JSON, without NaN and infinity."""
    return json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)

"""Open an artifact: look at the file, try it in a child process, load it in its format's own runtime."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unikeras._base.files import recover
from unikeras._base.printable import printable
from unikeras._base.text import plain
from unikeras._keras.samples import Array
from unikeras.errors import (
    ArgumentError,
    ArtifactNotFound,
    CorruptArtifact,
    MissingDependency,
    UnsafeArtifact,
)
from unikeras.export.readers._headers import Header
from unikeras.export.readers._private_copies import Copy, private_copy
from unikeras.export.readers._state_steps import in_chunks
from unikeras.export.readers.artifact import Artifact
from unikeras.export.readers.reader_table import READERS
from unikeras.export.reference.artifact_state import ReferenceSequence
from unikeras.export.request import format_table
from unikeras.export.verify import known_artifacts
from unikeras.export.verify.bounds import Bounds
from unikeras.export.verify.trial import TRUST, run_trial


def load_artifact(path: str | os.PathLike[str], trust: bool = False) -> Artifact:
    """Load an exported model in its format's own runtime.

    Opening is running: a TorchScript file or a SavedModel runs its maker's code, which can write any file of yours.
    Such a file is opened where `export_model` wrote it on this installation, or with `trust=True`. A file of any
    other format is first looked at, opened and run once in a process of its own, within bounds of time and memory,
    unless that was done before. What is loaded are the bytes that were looked at.

    Args:
        path: a SavedModel folder, or a file ending in `.pt`, `.onnx`, `.pt2`, `.tflite` or `.xml` (with
            its `.bin` beside it); written by `export_model` or by anything else.
        trust: whether you know who made it: its code may run, and it may hold operators that need
            a native library. A `.pt2` that needs pickle is refused all the same.

    Returns:
        An artifact with `.predict(x)`, `.signature`, `.format` and `.metadata`.

    Raises:
        ArtifactNotFound: nothing is there.
        ArgumentError: the path is not a path, or trust not a bool.
        CorruptArtifact: it is empty, truncated, of another format than its suffix says, no regular file; or
            it crashes its runtime, or takes more time or memory than the bounds allow.
        MissingDependency: the format's runtime is not installed; the message holds the pip line.
        UnknownFormat: the suffix means no format.
        UnsafeArtifact: opening it needs `trust=True`.

    Example:
        >>> load_artifact("no/such/model.onnx")
        Traceback (most recent call last):
        unikeras.errors.ArtifactNotFound: there is nothing at no/such/model.onnx
    """
    if not isinstance(trust, bool):
        raise ArgumentError(f"trust must be True or False; received {trust!r}")
    return open_artifact(_path(path), trust)


def open_artifact(final: Path, trust: bool, expected: str | None = None) -> Artifact:
    """Open an artifact as `load_artifact` does.

    Args:
        final: where it is.
        trust: whether its code may run.
        expected: the digest that it must have.
    """
    reader = _reader_of(_path(final))
    bounds = Bounds.from_environment()
    with private_copy(final, format_table.FORMATS[reader.format].beside, trust, bounds) as copy:
        _check_beginning(copy, reader)
        digest = copy.digest
        if expected not in (None, digest):
            raise CorruptArtifact(
                f"{printable(str(final))} has other content than the artifact that was pickled; "
                "load it anew with load_artifact"
            )
        copy.trust = trust or digest in known_artifacts.written
        if reader.runs_code and not copy.trust:
            _header(copy, reader)
            raise _unsafe(final, reader)
        mark = f"{digest}-trusted" if copy.trust else digest
        if digest not in known_artifacts.harmless and mark not in known_artifacts.harmless:
            _try(copy, reader)
            if not copy.further:  # else the digest is not of all that was looked at
                known_artifacts.harmless.add(mark)
        artifact = _open(copy.path, reader, copy)
        artifact.reopening = open_artifact, (final.absolute(), trust, digest)
        if copy.path.is_dir():  # its assets may be read when it runs
            copy.keep_for(artifact)
        return artifact


def read_header(path: str | os.PathLike[str]) -> tuple[str, Header] | None:
    """Return the format of a file that runs code, and what it says of itself, without running any.

    Args:
        path: as for `load_artifact`.

    Returns:
        None for a format that runs no code.

    Raises:
        ArtifactNotFound, CorruptArtifact, MissingDependency, UnknownFormat: as `load_artifact`.

    Example:
        >>> read_header("no_such_model.pt2")
        Traceback (most recent call last):
        unikeras.errors.ArtifactNotFound: ...
    """
    final = _path(path)
    reader = _reader_of(final)
    if not reader.runs_code:
        return None
    with private_copy(final, "", False, Bounds.from_environment()) as copy:
        _check_beginning(copy, reader)
        return reader.format, _header(copy, reader)


def outputs_of(
    path: str, batches: list[list[Array]], sequence: ReferenceSequence | None = None
) -> tuple[list[list[Array]], dict[str, Array]]:
    """Load an artifact and run it; made to run in a worker.

    Args:
        path: the artifact's.
        batches: flat inputs of several runs.
        sequence: a sequence to take step by step.

    Returns:
        The flat outputs of these runs, and those of the sequence by name; none where there is none.
    """
    final = Path(path)
    artifact = _open(final, _reader_of(final))
    outputs = [list(artifact.run(inputs)) for inputs in batches]
    return outputs, in_chunks(artifact, sequence) if sequence else {}


def _path(path: str | os.PathLike[str]) -> Path:
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        raise ArgumentError(f"an artifact's path is a str or a Path; received {path!r:.100}")
    final = Path(path)
    try:
        recover(final)
        final.stat()
    except FileNotFoundError as error:
        raise ArtifactNotFound(f"there is nothing at {printable(str(final))}") from error
    except (OSError, ValueError) as error:  # a name too long; a NUL in it
        reason = getattr(error, "strerror", None) or error
        shown = printable(str(final))
        raise ArtifactNotFound(
            f"there is nothing at {shown[:80]}{'...' * (len(shown) > 80)}: {reason}"
        ) from error
    return final


def _reader_of(path: Path) -> type[Artifact]:
    reader = READERS["saved_model" if path.is_dir() else format_table.format_of_path(path).name]
    if not path.is_dir() and format_table.FORMATS[reader.format].is_folder:
        raise CorruptArtifact(f"{printable(str(path))} is a file; a {reader.format} artifact is a folder")
    if reason := reader.missing():
        raise MissingDependency(reason)
    return reader


def _check_beginning(copy: Copy, reader: type[Artifact]) -> None:
    """Refuse at once what is plainly something else; no process has to be started for it."""
    if copy.path.is_dir():
        return
    place, magic = reader.magic
    with copy.path.open("rb") as opened:
        beginning = opened.read(place + max(1, len(magic)))
    if not beginning or (beginning[place:] != magic and magic):
        reason = "it does not begin as one does" if beginning else "it is empty"
        raise CorruptArtifact(f"{_unreadable(copy.origin, reader)}: {reason}")


def _open(path: Path, reader: type[Artifact], copy: Copy | None = None) -> Artifact:
    try:
        return reader(path)
    except Exception as error:  # each parser has its own ways to say that it cannot read
        reason = plain(error).partition("\n")[0] or type(error).__name__
        what = _unreadable(copy.origin if copy else path, reader)
        raise CorruptArtifact(f"{what}: {copy.text_of(reason) if copy else reason}") from error


def _unreadable(path: Path, reader: type[Artifact]) -> str:
    return f"{printable(str(path))} is not a readable {reader.format} artifact"


def _try(copy: Copy, reader: type[Artifact]) -> None:
    """Open an artifact and run it once in a process of its own."""
    request = {"task": "artifact", "path": str(copy.path), "format": reader.format, "trust": copy.trust}
    _run_trial(copy, reader, request)


def _header(copy: Copy, reader: type[Artifact]) -> Header:
    answer = _run_trial(copy, reader, {"task": "header", "path": str(copy.path), "format": reader.format})
    metadata, touches = answer.get("metadata"), answer.get("touches")
    return Header(metadata if isinstance(metadata, dict) else {}, list(map(str, touches or [])))


def _run_trial(copy: Copy, reader: type[Artifact], request: Mapping[str, Any]) -> dict[str, Any]:
    bounds = copy.bounds.of_size(copy.size)
    try:
        return run_trial(request, _unreadable(copy.origin, reader), bounds, reader.worker, copy.add)
    except (CorruptArtifact, UnsafeArtifact) as error:
        error.args = (copy.text_of(str(error)),)
        raise


def _unsafe(path: Path, reader: type[Artifact]) -> UnsafeArtifact:
    problem = known_artifacts.written.problem()
    forgotten = f" (what other processes write here is not remembered: {problem})" if problem else ""
    return UnsafeArtifact(
        f"{printable(str(path))} is a {reader.format} artifact that was not written by this installation{forgotten}, "
        f"and opening one runs its code, which can write any file of yours; {TRUST}"
    )

"""The runtimes that read artifacts, one per format."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from unikeras import workers
from unikeras.errors import ArtifactNotFound, CorruptArtifact, MissingDependency, WorkerDied
from unikeras.export import _formats, _proven
from unikeras.export._memory import Stretch
from unikeras.export._samples import Array, example
from unikeras.export._text import plain
from unikeras.export.runtimes._base import Artifact
from unikeras.export.runtimes._steps import in_chunks
from unikeras.export.runtimes.litert import LiteRtArtifact
from unikeras.export.runtimes.onnx import OnnxArtifact
from unikeras.export.runtimes.openvino import OpenVinoArtifact
from unikeras.export.runtimes.pt2 import Pt2Artifact
from unikeras.export.runtimes.saved_model import SavedModelArtifact
from unikeras.export.runtimes.torchscript import TorchScriptArtifact

__all__ = ["RUNTIMES", "Artifact", "load_artifact", "outputs_of"]

RUNTIMES: dict[str, type[Artifact]] = {
    runtime.format: runtime
    for runtime in (
        SavedModelArtifact,
        TorchScriptArtifact,
        OnnxArtifact,
        Pt2Artifact,
        LiteRtArtifact,
        OpenVinoArtifact,
    )
}


def load_artifact(path: str | os.PathLike[str]) -> Artifact:
    """Load an exported model in its format's own runtime.

    A file that was proven, or loaded before, is opened in this process. Any other is first opened and
    run once in a process of its own, because a damaged one can crash the program that reads it.

    Args:
        path: a SavedModel folder, or a file ending in `.pt`, `.onnx`, `.pt2`, `.tflite` or `.xml` (with
            its `.bin` beside it); written by `export_model` or by anything else. Load only what you
            trust: a SavedModel can read and write files. A `.pt2` that needs pickle is refused.

    Returns:
        An artifact with `.predict(x)`, `.signature`, `.format` and `.metadata`.

    Raises:
        ArtifactNotFound: nothing is there.
        CorruptArtifact: it is empty, truncated, or of another format than its suffix says.
        MissingDependency: the format's runtime is not installed; the message holds the pip line.
        UnknownFormat: the suffix means no format.

    Example:
        >>> load_artifact("no/such/model.onnx")
        Traceback (most recent call last):
        unikeras.errors.ArtifactNotFound: there is nothing at no/such/model.onnx
    """
    final = Path(path)
    runtime = _runtime_of(final)
    digest = _proven.digest_of(final, _weights_of(final, runtime))
    if not _proven.is_known(digest):
        _try(final, runtime)
        _proven.remember(digest)
    artifact = _open(final, runtime)
    artifact.source = final.absolute(), digest
    return artifact


def outputs_of(
    path: str, rounds: list[list[Array]], stretch: Stretch | None = None
) -> tuple[list[list[Array]], dict[str, Array]]:
    """Load an artifact and run it; made to run in a worker.

    Args:
        path: the artifact's.
        rounds: flat inputs of several runs.
        stretch: a sequence to take step by step.

    Returns:
        The flat outputs of these runs, and those of the sequence by name; none where there is none.
    """
    final = Path(path)
    artifact = _open(final, _runtime_of(final))
    outputs = [list(artifact.run(inputs)) for inputs in rounds]
    return outputs, in_chunks(artifact, stretch) if stretch else {}


def _runtime_of(path: Path) -> type[Artifact]:
    if not path.exists():
        raise ArtifactNotFound(f"there is nothing at {path}")
    runtime = RUNTIMES["saved_model" if path.is_dir() else _formats.of_path(path).name]
    if path.is_file() and _formats.FORMATS[runtime.format].is_folder:
        raise CorruptArtifact(f"{path} is a file; a {runtime.format} artifact is a folder")
    if reason := runtime.missing():
        raise MissingDependency(reason)
    return runtime


def _weights_of(path: Path, runtime: type[Artifact]) -> str:
    """Return the suffix of the artifact's second file, where there is one."""
    beside = _formats.FORMATS[runtime.format].beside
    return beside if beside and path.with_suffix(beside).is_file() else ""


def _open(path: Path, runtime: type[Artifact]) -> Artifact:
    try:
        return runtime(path)
    except Exception as error:  # each parser has its own ways to say that it cannot read
        raise _corrupt(path, runtime, plain(error).partition("\n")[0] or type(error).__name__) from error


def _corrupt(path: Path, runtime: type[Artifact], reason: str) -> CorruptArtifact:
    return CorruptArtifact(f"{path} is not a readable {runtime.format} artifact: {reason}")


def _try(path: Path, runtime: type[Artifact]) -> None:
    """Open an artifact and run it once in a process of its own."""
    try:
        reason = workers.call(runtime.worker, _failure_of, (path.absolute(), runtime))
    except WorkerDied as error:
        raise _corrupt(path, runtime, f"it crashes its runtime ({error})") from error
    if reason is not None:
        raise CorruptArtifact(reason.replace(str(path.absolute()), str(path)))


def _failure_of(path: Path, runtime: type[Artifact]) -> str | None:
    """Return why an artifact cannot be opened, or None; made to run in a worker."""
    try:
        artifact = _open(path, runtime)
    except CorruptArtifact as error:
        return str(error)
    with contextlib.suppress(Exception):  # made-up inputs may be none that it takes; a crash is what counts
        artifact.run(example(artifact.signature))
    return None

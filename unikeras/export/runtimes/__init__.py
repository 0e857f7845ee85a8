"""The runtimes that read artifacts, one per format."""

from __future__ import annotations

import os
from pathlib import Path

from unikeras.errors import ArtifactNotFound, CorruptArtifact, MissingDependency
from unikeras.export import _formats
from unikeras.export._samples import Array
from unikeras.export.runtimes._base import Artifact
from unikeras.export.runtimes.onnx import OnnxArtifact
from unikeras.export.runtimes.saved_model import SavedModelArtifact
from unikeras.export.runtimes.torchscript import TorchScriptArtifact

__all__ = ["RUNTIMES", "Artifact", "load_artifact", "outputs_of"]

RUNTIMES: dict[str, type[Artifact]] = {
    runtime.format: runtime for runtime in (SavedModelArtifact, TorchScriptArtifact, OnnxArtifact)
}


def load_artifact(path: str | os.PathLike[str]) -> Artifact:
    """Load an exported model in its format's own runtime.

    Args:
        path: a SavedModel folder, or a file ending in `.pt` or `.onnx`; written by `export_model` or
            by anything else. Load only what you trust: a SavedModel can read and write files.

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
    if not final.exists():
        raise ArtifactNotFound(f"there is nothing at {final}")
    runtime = RUNTIMES["saved_model" if final.is_dir() else _formats.of_path(final).name]
    if final.is_file() and _formats.FORMATS[runtime.format].is_folder:
        raise CorruptArtifact(f"{final} is a file; a {runtime.format} artifact is a folder")
    if reason := runtime.missing():
        raise MissingDependency(reason)
    try:
        return runtime(final)
    except Exception as error:  # each parser has its own ways to say that it cannot read
        text = str(error).strip().partition("\n")[0] or type(error).__name__
        raise CorruptArtifact(f"{final} is not a readable {runtime.format} artifact: {text}") from error


def outputs_of(path: str, rounds: list[list[Array]]) -> list[list[Array]]:
    """Load an artifact and return its flat outputs for several flat inputs; made to run in a worker."""
    artifact = load_artifact(path)
    return [list(artifact.run(inputs)) for inputs in rounds]

"""The contract of a writer: one toolchain that turns a Keras model into an artifact."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unikeras._specs.signature import Signature
from unikeras.export.reference.artifact_state import ArtifactState


@dataclass(frozen=True)
class WriteRequest:
    """What a writer is to write.

    Attributes:
        format: one of the writer's formats.
        signature: names, shapes, dtypes and structure.
        metadata: data for JSON, to be kept in the artifact.
        options: what the user asks of the toolchain beyond that; names that it does not know are errors.
        artifact_state: which inputs and outputs are states, where the model is that of a step.
        any_size: have torch.export assume nothing of dynamic axes, not that they are 2 or more either.
    """

    format: str
    signature: Signature
    metadata: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    artifact_state: ArtifactState | None = None
    any_size: bool = False


class Writer(ABC):
    """One toolchain; a new one is a file in this folder and a line in its `__init__`.

    Attributes:
        name: what reports call it.
        formats: the names of the formats that it writes.
        backends: the backends under which `write` runs.
        packages: the distributions whose versions go into an artifact's metadata.
        crosses_backends: whether another backend than the one in use is worth a try.
        options: what `WriteRequest.options` may hold: options of `export_model`, and keywords of the toolchain's
            own function. A writer is not asked for what it would ignore.
    """

    name: str
    formats: tuple[str, ...]
    backends: tuple[str, ...]
    packages: tuple[str, ...]
    crosses_backends: bool = True
    options: tuple[str, ...] = ()

    @abstractmethod
    def missing(self, format: str) -> str | None:
        """Say in one sentence what is not installed, with the pip line, or None where all is there."""

    @abstractmethod
    def write(self, model: Any, path: Path, request: WriteRequest) -> str | None:
        """Write the artifact; whatever it raises means that this writer cannot.

        What is written computes `signature.call(model, inputs)`, under the signature's names.

        Args:
            model: the model, on a backend of this writer.
            path: where nothing stands yet, beside the final place.
            request: what to write.

        Returns:
            What the report must say of the artifact, or None.
        """

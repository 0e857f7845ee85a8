"""The contract of a route: one toolchain that turns a Keras model into an artifact."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unikeras._specs.signature import Signature
from unikeras.export.reference.artifact_state import Memory


@dataclass(frozen=True)
class WriteRequest:
    """What a route is to write.

    Attributes:
        format: one of the route's formats.
        signature: names, shapes, dtypes and structure.
        metadata: data for JSON, to be kept in the artifact.
        options: what the user asks of the toolchain beyond that; names that it does not know are errors.
        memory: which inputs and outputs are states, where the model is that of a step.
        any_size: have torch.export assume nothing of dynamic axes, not that they are 2 or more either.
    """

    format: str
    signature: Signature
    metadata: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    memory: Memory | None = None
    any_size: bool = False


class Route(ABC):
    """One toolchain; a new one is a file in this folder and a line in its `__init__`.

    Attributes:
        name: what reports call it.
        formats: the names of the formats that it writes.
        backends: the backends under which `write` runs.
        packages: the distributions whose versions go into an artifact's metadata.
        hops: whether another backend than the one in use is worth a try.
        options: what `WriteRequest.options` may hold: options of `export_model`, and keywords of the toolchain's
            own function. A route is not asked for what it would ignore.
    """

    name: str
    formats: tuple[str, ...]
    backends: tuple[str, ...]
    packages: tuple[str, ...]
    hops: bool = True
    options: tuple[str, ...] = ()

    @abstractmethod
    def missing(self, format: str) -> str | None:
        """Say in one sentence what is not installed, with the pip line, or None where all is there."""

    @abstractmethod
    def write(self, model: Any, path: Path, order: WriteRequest) -> str | None:
        """Write the artifact; whatever it raises means that this route cannot.

        What is written computes `signature.call(model, inputs)`, under the signature's names.

        Args:
            model: the model, on a backend of this route.
            path: where nothing stands yet, beside the final place.
            order: what to write.

        Returns:
            What the report must say of the artifact, or None.
        """

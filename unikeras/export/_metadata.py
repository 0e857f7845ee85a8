"""What an artifact says about itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from unikeras.backends import ENTRIES
from unikeras.export.reference.model_reference import Reference

# Under this name in an ONNX file's properties and, with ".json", as a file in the other formats.
KEY = "unikeras"
FILE = f"{KEY}.json"
# And under this name in OpenVINO's .xml: the SHA-256 of the .bin that belongs to it.
WEIGHTS_KEY = f"{KEY}_weights_sha256"


@dataclass(frozen=True)
class Provenance:
    """How an artifact came to be.

    Attributes:
        format: the artifact's format.
        writer: the name of the toolchain that wrote it.
        packages: the distributions whose versions are worth knowing.
        verified_at: batch sizes at which the artifact is equal to the model; empty where nobody looked.
        rtol: relative tolerance of that comparison.
        atol: absolute tolerance of that comparison.
    """

    format: str
    writer: str
    packages: tuple[str, ...]
    verified_at: list[int]
    rtol: float
    atol: float


def describe(reference: Reference, provenance: Provenance) -> dict[str, Any]:
    """Return the metadata of an artifact, as data for JSON.

    Args:
        reference: the exported model, with its signature and state.
        provenance: how the artifact came to be.
    """
    content = {
        "format": provenance.format,
        "model": reference.name,
        "route": provenance.writer,
        "versions": versions(["unikeras", "keras", *provenance.packages]),
        "verified_at": provenance.verified_at,
        "rtol": provenance.rtol,
        "atol": provenance.atol,
        "config_sha256": reference.config_sha256,
        "weights_sha256": reference.weights_sha256,
        "signature": reference.signature.to_dict(),
    }
    state = reference.state
    return content if state is None else {**content, "memory": state.to_dict()}


def versions(names: Iterable[str]) -> dict[str, str]:
    """Return the installed versions of distributions and backends, without importing any.

    Example:
        >>> list(versions(["keras", "no-such-distribution"]))
        ['keras']
    """
    found = {name: _version(name) for name in dict.fromkeys(names)}
    return {name: version for name, version in found.items() if version is not None}


def _version(name: str) -> str | None:
    if name in ENTRIES:
        return ENTRIES[name].version
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def sha256_of_file(path: Path) -> str:
    """Return the digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def dumps(content: Mapping[str, Any]) -> str:
    """Return metadata as JSON."""
    return json.dumps(content)


def loads(text: str | bytes | None) -> dict[str, Any]:
    """Return the metadata in a JSON text; None, where an artifact has none, is none.

    Raises:
        ValueError: the text is not what `dumps` wrote. The order of the inputs is in it, so that an
            artifact without it would take them for each other.
    """
    if text is None:
        return {}
    content = json.loads(text)
    if not isinstance(content, dict) or "signature" not in content:
        raise ValueError(f"its metadata has no signature: {str(content)[:80]}")
    return content

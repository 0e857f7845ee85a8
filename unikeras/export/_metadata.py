"""What an artifact says about itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from unikeras import backends
from unikeras._keras.without_tensorflow import without_tensorflow
from unikeras._specs.signature import Signature
from unikeras.backends import ENTRIES
from unikeras.export.reference.artifact_state import Memory

# Under this name in an ONNX file's properties and, with ".json", as a file in the other formats.
KEY = "unikeras"
FILE = f"{KEY}.json"
# And under this name in OpenVINO's .xml: the SHA-256 of the .bin that belongs to it.
WEIGHTS_KEY = f"{KEY}_weights_sha256"


def describe(
    model: Any,
    *,
    format: str,
    route: str,
    packages: Iterable[str],
    signature: Signature,
    verified_at: list[int],
    rtol: float,
    atol: float,
    weights: str,
    memory: Memory | None = None,
) -> dict[str, Any]:
    """Return the metadata of an artifact, as data for JSON.

    Args:
        model: the exported model.
        format: the artifact's format.
        route: the toolchain that wrote it.
        packages: the distributions whose versions are worth knowing.
        signature: the model's.
        verified_at: batch sizes at which the artifact is equal to the model; empty where nobody looked.
        rtol: relative tolerance of that comparison.
        atol: absolute tolerance of that comparison.
        weights: from `sha256_of_weights`.
        memory: what the artifact carries from step to step, where it was a step that was exported.
    """
    content = {
        "format": format,
        "model": model.name,
        "route": route,
        "versions": versions(["unikeras", "keras", *packages]),
        "verified_at": verified_at,
        "rtol": rtol,
        "atol": atol,
        "config_sha256": sha256_of_config(model),
        "weights_sha256": weights,
        "signature": signature.to_dict(),
    }
    return content if memory is None else {**content, "memory": memory.to_dict()}


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


def sha256_of_weights(model: Any) -> str:
    """Return a digest of a model's weights: their order, shapes, dtypes and values."""
    backend = backends.current()
    digest = hashlib.sha256()
    for variable in model.weights:
        array = backend.to_numpy(variable.value)
        digest.update(f"{array.shape} {array.dtype}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def sha256_of_file(path: Path) -> str:
    """Return the digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_config(model: Any) -> str | None:
    """Return a digest of a model's Keras config; None for a class that cannot give one."""
    try:
        with without_tensorflow():
            text = json.dumps(model.get_config(), sort_keys=True, default=str)
    except Exception:  # what a user's get_config raises
        return None
    return hashlib.sha256(text.encode()).hexdigest()


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

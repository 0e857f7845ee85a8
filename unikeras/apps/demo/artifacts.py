"""From the best weights to files, by the backend that trained them: a checkpoint and the exported models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import unikeras as uk
from unikeras.apps.demo.dataset import SEED, Array, Dataset
from unikeras.apps.demo.model import build, predictor
from unikeras.apps.demo.outputs import ARTIFACTS, CHECKPOINT, written_atomically
from unikeras.apps.demo.silence import silence
from unikeras.errors import ExportError, MissingDependency


def reasons() -> dict[str, str | None]:
    """Return for each format of the demo why it cannot be written here; None if it can."""
    rows = {row.format: row for row in uk.export_formats()}
    return {name: None if rows[name].available else rows[name].reason for name in ARTIFACTS}


def unavailable(name: str, reason: str) -> dict[str, Any]:
    """Return the row of a format that cannot be written here."""
    return {**_blank(name), "status": "not installed", "error": reason}


def failed(name: str, reason: str) -> dict[str, Any]:
    """Return the row of a format whose export failed."""
    return {**_blank(name), "status": "failed", "error": reason}


def _blank(name: str) -> dict[str, Any]:
    return dict.fromkeys(("path", "size", "route", "verified_at", "max_error")) | {"format": name}


def save(data: Dataset, weights: list[Array], folder: Path) -> Array:
    """Write the checkpoint, read it back and return its probabilities on the test part; runs in a worker."""
    import keras

    model = build(data.shape, len(data.classes), SEED)
    model.set_weights(weights)
    with (
        silence(),
        written_atomically(folder / CHECKPOINT) as partial,
    ):  # saving imports TensorFlow on every backend
        model.save(partial)
    return predictor(keras.saving.load_model(folder / CHECKPOINT))(data.pixels(data.test.images))


def export(folder: Path, name: str) -> dict[str, Any]:
    """Export the checkpoint to one format, verified, and return the report's row; runs in a worker."""
    import keras

    path = folder / ARTIFACTS[name]
    with silence():
        model = keras.saving.load_model(folder / CHECKPOINT)
        try:
            report = uk.export_model(model, path, format=name, overwrite=True)
        except MissingDependency as error:  # what a format needs may depend on the backend, too
            return unavailable(name, str(error))
        except ExportError as error:
            return failed(name, str(error))
    row = report.artifacts[0]
    return {
        "format": name,
        "status": "verified",
        "path": f"{path}/" if path.is_dir() else str(path),
        "size": row.size,
        "route": row.route,
        "verified_at": list(row.verified_at),
        "max_error": row.max_error,
        "error": None,
    }

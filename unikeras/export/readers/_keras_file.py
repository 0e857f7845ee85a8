"""Saved Keras models from elsewhere, built in a child before they are built here."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from unikeras._base.text import plain
from unikeras.errors import ArgumentValueError
from unikeras.export.readers._headers import check_sizes, check_text
from unikeras.export.readers._private_copies import private_copy
from unikeras.export.verify.bounds import Bounds
from unikeras.export.verify.known_artifacts import harmless
from unikeras.export.verify.trial import run_trial


def load_keras(path: Path, backend: str, compiled: bool = False) -> Any:
    """Return a saved Keras model; one that was never opened before is first built in a child, within bounds.

    Args:
        path: a `.keras` or `.h5` file.
        backend: the backend to build it on.
        compiled: whether it keeps the optimizer and the losses that it was saved with.

    Returns:
        The Keras model.

    Raises:
        ArtifactNotFound: nothing is there.
        CorruptArtifact: it crashes, hangs, or asks for more than the bounds allow.
        ArgumentValueError: it is no saved model, or needs classes that are not imported here.

    Example:
        >>> import unikeras as uk
        >>> load_keras(Path("no_such_model.keras"), uk.backend())
        Traceback (most recent call last):
        unikeras.errors.ArtifactNotFound: ...
    """
    bounds = Bounds.from_environment()
    with private_copy(path, "", False, bounds) as copy:
        digest, bounds = copy.digest, bounds.of_size(copy.size)
        if digest not in harmless:
            answer = run_trial(
                {"task": "keras", "path": str(copy.path)}, f"{path} could not be loaded", bounds, backend
            )
            if "wrong" in answer:
                raise ArgumentValueError(f"{path} could not be loaded: {copy.text_of(str(answer['wrong']))}")
            harmless.add(digest)
        try:
            return build(copy.path, compiled)
        except Exception as error:  # whatever a parser, or a class of the user's, raises
            raise ArgumentValueError(f"{path} could not be loaded: {copy.text_of(plain(error))}") from error


def build(path: Path, compiled: bool = False) -> Any:
    """Return a model; Keras' own safe mode refuses lambdas and pickles."""
    import keras

    return keras.saving.load_model(path, compile=compiled)


def check_archive(path: Path, bounds: Bounds) -> None:
    """Refuse an archive that says of itself that it goes beyond the bounds.

    Raises:
        ValueError: it does.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            rows = archive.infolist()
            check_sizes(rows, bounds)
            for row in rows:
                if row.filename.endswith(".json"):
                    check_text(row, bounds)

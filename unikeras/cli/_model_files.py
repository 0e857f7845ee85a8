"""Models from the command line's arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# The suffixes of saved Keras models.
SUFFIXES = (".keras", ".h5")


def loaded(path: Path, compiled: bool = False) -> Any:
    """Return a saved Keras model, named after its file; a file never opened before is first tried in a child process.

    Args:
        path: the file.
        compiled: whether the model keeps the optimizer and the losses that it was saved with.

    Raises:
        ArgumentError: the file is not a saved model, is broken, or needs classes that are not imported here.
        CorruptArtifact: building it crashes, hangs, or takes more memory than the bounds allow.
    """
    from unikeras.errors import ArgumentError

    if path.suffix.lower() not in SUFFIXES:
        raise ArgumentError(f"{path} is no saved Keras model: its name must end in {', or '.join(SUFFIXES)}")
    import unikeras as uk
    from unikeras.export import load_keras

    model = load_keras(path, uk.backend(), compiled)  # which chooses the backend before Keras does
    model.name = path.stem
    return model

"""Models from the command line's arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# What Keras saves a model as.
SUFFIXES = (".keras", ".h5")


def loaded(path: Path) -> Any:
    """Return a saved Keras model, called after its file.

    Raises:
        ArgumentError: the file is none, is broken, or needs classes that are not imported here.
    """
    from unikeras.errors import ArgumentError

    if path.suffix not in SUFFIXES:
        raise ArgumentError(f"{path} is no saved Keras model: its name ends in {', or '.join(SUFFIXES)}")
    import unikeras as uk

    uk.backend()  # chooses the backend before Keras does
    import keras

    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # whatever a parser, or a class of the user's, raises
        raise ArgumentError(f"{path} could not be loaded: {error}") from error
    model.name = path.stem
    return model

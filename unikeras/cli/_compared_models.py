"""What `unikeras compare` takes on its command line: saved models, artifacts, and functions that build something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unikeras.cli._model_files import SUFFIXES
from unikeras.cli._named_functions import explain_missing, find_function, is_function
from unikeras.errors import ArgumentValueError


def named(argument: str) -> Any:
    """Return what an argument names: a compiled Keras model, what `module:function` returns, or another path.

    Modules are looked for in the working directory, too, as Python does for a script.

    Raises:
        ArgumentValueError: there is no such file, module or function, or the file does not load.
    """
    path = Path(argument)
    if is_function(argument):
        found = find_function(argument)
        return found if hasattr(found, "parameters") or hasattr(found, "variables") else found()
    if not path.exists():
        raise ArgumentValueError(f"there is no file {argument!r}; expected a file, or module:function")
    return _loaded(path) if path.suffix.lower() in SUFFIXES else path


def _loaded(path: Path) -> Any:
    import unikeras as uk
    from unikeras.export import load_keras

    try:
        model = load_keras(path, uk.backend(), compiled=True)
    except ArgumentValueError as error:
        raise explain_missing(path, error) from error.__cause__
    model.name = path.stem
    return model

"""What `unikeras compare` takes on its command line: saved models, artifacts, and functions that build something."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

from unikeras.cli._model_files import SUFFIXES
from unikeras.errors import ArgumentValueError

# How Keras reports a class or a function that nobody has registered.
_CUSTOM = re.compile(r"Could not (?:locate|find) ((?:class|function) '[^']+')")
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[\w.]+")


def named(argument: str) -> Any:
    """Return what an argument names: a compiled Keras model, what `module:function` returns, or another path.

    Modules are looked for in the working directory, too, as Python does for a script.

    Raises:
        ArgumentValueError: there is no such file, module or function, or the file does not load.
    """
    path = Path(argument)
    if _FUNCTION.fullmatch(argument) and not path.exists():
        return _called(argument)
    if not path.exists():
        raise ArgumentValueError(f"there is no file {argument!r}; expected a file, or module:function")
    return _loaded(path) if path.suffix.lower() in SUFFIXES else path


def _loaded(path: Path) -> Any:
    import unikeras as uk
    from unikeras.export import load_keras

    try:
        model = load_keras(path, uk.backend(), compiled=True)
    except ArgumentValueError as error:
        if (missing := _CUSTOM.search(str(error))) is None:
            raise
        raise ArgumentValueError(
            f"{path} needs {missing[1]}, which is not imported here. Write a module with a function that imports it "
            f"and returns keras.saving.load_model({str(path)!r}), and pass module:function in the place of the file"
        ) from error
    model.name = path.stem
    return model


def _called(argument: str) -> Any:
    import unikeras as uk

    uk.backend()  # which chooses the backend before the module does
    module, _, name = argument.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ArgumentValueError(f"{argument} names no function here: {error}") from error
    is_model = hasattr(found, "parameters") or hasattr(found, "variables")
    return found if is_model else found()

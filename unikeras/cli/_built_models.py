"""A model from the command line: a saved file, or a function that builds it."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

from unikeras.cli._model_files import SUFFIXES, loaded
from unikeras.errors import ArgumentError, ArgumentValueError, CorruptArtifact

_FUNCTION = re.compile(r"[\w.]+:[\w.]+")


def built(argument: str) -> Any:
    """Return the model that an argument names: `model.keras`, or `module:function`.

    Modules are looked for in the working directory, too, as Python does for a script.

    Raises:
        ArgumentValueError: there is no such file, module or function, or the file does not load.
        ArgumentError: the function returns no model.
    """
    if _FUNCTION.fullmatch(argument) and not Path(argument).exists():
        return _called(argument)
    path = Path(argument)
    if not path.exists():
        raise ArgumentValueError(
            f"there is no file {argument!r}; a model is a file ending in {' or '.join(SUFFIXES)}, or module:function"
        )
    try:
        return loaded(path)
    except CorruptArtifact:
        raise
    except ArgumentValueError as error:
        raise ArgumentValueError(
            f"{error}\nA model with classes of your own is built by a function: write load.py with `import my_layers, "
            f"keras; model = lambda: keras.saving.load_model({argument!r})`, and pass load:model in the file's place"
        ) from error


def _called(argument: str) -> Any:
    import unikeras as uk

    uk.backend()  # which chooses the backend before Keras does
    import keras

    module, _, name = argument.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        function: Any = importlib.import_module(module)
        for part in name.split("."):
            function = getattr(function, part)
    except (ImportError, AttributeError) as error:
        raise ArgumentValueError(f"{argument} names no function here: {error}") from error
    model = function() if not isinstance(function, keras.Model) else function
    if not isinstance(model, keras.Model):
        raise ArgumentError(f"{argument} must return a keras.Model; it returned {type(model).__qualname__}")
    return model

"""A model from the command line: a saved file, or a function that builds it."""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
from pathlib import Path
from typing import Any

from unikeras._base.output_streams import hold_back_output
from unikeras.cli._model_files import SUFFIXES, loaded
from unikeras.errors import ArgumentError, ArgumentValueError, UnikerasError

# How Keras reports a class or a function that nobody has registered.
_CUSTOM = re.compile(r"Could not (?:locate|find) ((?:class|function) '[^']+')")
_FUNCTION = re.compile(r"[\w.]+:[\w.]+")


def built(argument: str) -> Any:
    """Return the model that an argument names: `model.keras`, or `module:function`; hold back what frameworks print.

    Modules are looked for in the working directory, too, as Python does for a script.

    Raises:
        ArgumentValueError: there is no such file, module or function, or the file does not load.
        ArgumentError: the function returns no model.
    """
    find = _called if _FUNCTION.fullmatch(argument) and not Path(argument).exists() else _from_file
    refusal = None
    with hold_back_output(), contextlib.redirect_stdout(sys.stderr):
        try:
            model = find(argument)
        except UnikerasError as error:  # raised outside, or what was held back would be shown
            refusal = error
    if refusal is not None:
        raise refusal
    return model


def _from_file(argument: str) -> Any:
    path = Path(argument)
    if not path.exists():
        raise ArgumentValueError(
            f"there is no file {argument!r}; a model is a file ending in {' or '.join(SUFFIXES)}, or module:function"
        )
    try:
        return loaded(path)
    except ArgumentValueError as error:
        if (missing := _CUSTOM.search(str(error))) is None:
            raise
        raise ArgumentValueError(
            f"{argument} needs {missing[1]}, which is not imported here. Write load.py with\n"
            f"    import keras, the_module_of_your_classes\n"
            f"    def model(): return keras.saving.load_model({argument!r})\n"
            "and pass load:model in the place of the file"
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

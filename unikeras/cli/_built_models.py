"""A model from the command line: a saved file, or a function that builds it."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

from unikeras._base.output_streams import hold_back_output
from unikeras.cli._model_files import SUFFIXES, loaded
from unikeras.cli._named_functions import explain_missing, find_function, is_function
from unikeras.errors import ArgumentError, ArgumentValueError, UnikerasError


def built(argument: str, compiled: bool = False) -> Any:
    """Return the model that an argument names: `model.keras`, or `module:function`; hold back what frameworks print.

    Modules are looked for in the working directory, too, as Python does for a script.

    Args:
        argument: what was typed.
        compiled: whether a saved model keeps the optimizer and the losses that it was saved with.

    Raises:
        ArgumentValueError: there is no such file, module or function, or the file does not load.
        ArgumentError: the function returns no model.
    """
    refusal = None
    with hold_back_output(), contextlib.redirect_stdout(sys.stderr):
        try:
            model = _called(argument) if is_function(argument) else _from_file(argument, compiled)
        except UnikerasError as error:  # raised outside, or what was held back would be shown
            refusal = error
    if refusal is not None:
        raise refusal
    return model


def _from_file(argument: str, compiled: bool) -> Any:
    path = Path(argument)
    if not path.exists():
        raise ArgumentValueError(
            f"there is no file {argument!r}; a model is a file ending in {' or '.join(SUFFIXES)}, or module:function"
        )
    try:
        return loaded(path, compiled)
    except ArgumentValueError as error:
        raise explain_missing(path, error) from error.__cause__


def _called(argument: str) -> Any:
    function = find_function(argument)
    import keras

    model = function() if not isinstance(function, keras.Model) else function
    if not isinstance(model, keras.Model):
        raise ArgumentError(f"{argument} must return a keras.Model; it returned {type(model).__qualname__}")
    return model

"""`module:function` on a command line, and what to do where a model file needs classes that are not imported."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

from unikeras.errors import ArgumentValueError

# How Keras reports a class or a function that nobody has registered.
_CUSTOM = re.compile(r"Could not (?:locate|find) ((?:class|function) '[^']+')")
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[\w.]+")


def is_function(argument: str) -> bool:
    """Say whether an argument names a function of a module, and no file."""
    return bool(_FUNCTION.fullmatch(argument)) and not Path(argument).exists()


def find_function(argument: str) -> Any:
    """Import what `module:function` names; modules of the working directory too, as Python does for a script.

    Raises:
        ArgumentValueError: there is no such module or function.
    """
    import unikeras as uk

    uk.backend()  # which chooses the backend before Keras does
    module, _, name = argument.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ArgumentValueError(f"{argument} names no function here: {error}") from error
    return found


def find_module(argument: str) -> Any:
    """Return the torch module that `module:function` returns, or that it is.

    Raises:
        ArgumentValueError: there is no such function, or it returns something else.
    """
    found = find_function(argument)
    module = found if hasattr(found, "parameters") and not isinstance(found, type) else found()
    if not hasattr(module, "named_modules"):
        raise ArgumentValueError(
            f"{argument} must return a torch.nn.Module; it returned {type(module).__qualname__}"
        )
    return module


def explain_missing(path: Path, error: ArgumentValueError) -> ArgumentValueError:
    """Return the error for a file that does not load: how to bring its classes where these are missing."""
    missing = _CUSTOM.search(str(error))
    if missing is None:
        return error
    return ArgumentValueError(
        f"{path} needs {missing[1]}, which is not imported here. Write load.py with\n"
        f"    import keras, the_module_of_your_classes\n"
        f"    def model(): return keras.saving.load_model({str(path)!r})\n"
        "and pass load:model in the place of the file. You may pass module:function wherever a model is asked for"
    )

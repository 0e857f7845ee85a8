"""Names of variables that TensorFlow can write down."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def legal_names(model: Any) -> Iterator[None]:
    """Give the variables of a model names that a SavedModel takes, which none that begins with "_" is.

    Keras names variables after classes, and a class that is its module's own begins with "_".

    Args:
        model: a Keras model; on a backend other than TensorFlow nothing is to be done.
    """
    values = [variable.value for variable in model.variables]
    before = [
        (value, name) for value in values if (name := getattr(value, "_handle_name", "")).startswith("_")
    ]
    for value, name in before:
        value._handle_name = f"model/{name}"
    try:
        yield
    finally:
        for value, name in before:
            value._handle_name = name

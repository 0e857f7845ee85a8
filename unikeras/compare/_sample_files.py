"""Samples from a file of `numpy.savez`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unikeras.compare._gaps import Array
from unikeras.errors import DatasetError, SignatureError


def read_samples(path: Path, inputs: Sequence[str]) -> tuple[Any, Any]:
    """Return the inputs and the targets that a file holds.

    Inputs are arrays named as the model's, with or without `x/` before it, or `x` where the model has one. Targets are
    the array `y`, or arrays named `y/<output>`; None where there is none.

    Args:
        path: of an `.npz` file.
        inputs: the names of the model's inputs.

    Raises:
        DatasetError: it cannot be read.
        SignatureError: inputs are missing, or arrays are named as no input; one error names all of them.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays: dict[str, Array] = {name: file[name] for name in file.files}
    except (OSError, ValueError, TypeError, AttributeError, EOFError) as error:
        raise DatasetError(f"{path} is no file of numpy.savez: {error}") from error
    named = {name.removeprefix("y/"): arrays.pop(name) for name in list(arrays) if name.startswith("y/")}
    y = arrays.pop("y", None) if "y" not in inputs else None
    x = {name.removeprefix("x/"): array for name, array in arrays.items()}
    if len(inputs) == 1 and set(x) in ({"x"}, {"arr_0"}):
        x = {inputs[0]: next(iter(x.values()))}
    missing = [name for name in inputs if name not in x]
    unknown = [name for name in x if name not in inputs]
    if missing or unknown:
        problems = [f"it lacks {', '.join(missing)}"] * bool(missing)
        problems += [f"no input is named {', '.join(unknown)}"] * bool(unknown)
        raise SignatureError(
            f"{path} does not fit the model's inputs {', '.join(inputs)}: {'; '.join(problems)}"
        )
    return x, named or y

"""Arrays as text in a model's config: buffers and constants, which no initializer can make."""

from __future__ import annotations

import base64
import math
import zlib
from typing import Any

import numpy as np

from unikeras._specs.signature import numpy_dtype
from unikeras._specs.torch_program import ProgramVariable
from unikeras.errors import CorruptArtifact


def write_array(array: np.ndarray[Any, Any]) -> dict[str, str]:
    """Return an array's dtype, and its bytes, compressed, as text."""
    return {
        "dtype": array.dtype.name,
        "bytes": base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes())).decode("ascii"),
    }


def read_array(text: Any, variable: ProgramVariable) -> np.ndarray[Any, Any]:
    """Return the array of a variable.

    Raises:
        CorruptArtifact: it is damaged, or of another size than the variable.
    """
    try:
        dtype = numpy_dtype(text["dtype"])
        size = math.prod(variable.shape) * dtype.itemsize
        if dtype.kind not in "biufcV":
            raise ValueError(f"dtype {dtype}")
        reader = zlib.decompressobj()
        # One byte more than there must be: what goes on is not decompressed.
        data = reader.decompress(base64.b64decode(text["bytes"], validate=True), size + 1)
        if len(data) != size or not reader.eof:
            raise ValueError(f"{len(data)} bytes or more, instead of {size}")
        return np.frombuffer(data, dtype).reshape(variable.shape)
    except (TypeError, KeyError, ValueError, zlib.error, OverflowError) as error:
        raise CorruptArtifact(f"the value of {variable.name} in the config is damaged: {error}") from error

"""The header of a safetensors file, written from a table of names, dtypes and shapes.

Whoever reads a checkpoint writes the header of its table anew and compares: so no header from elsewhere is parsed.

Source: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from unikeras.errors import CorruptArtifact, MissingDependency

# numpy's dtypes as safetensors calls them; any other is stored as unsigned integers of the same bits.
_NAMES = {
    "bool": "BOOL",
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float64": "F64",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    **{f"{kind}int{bits}": f"{kind.upper() or 'I'}{bits}" for kind in ("", "u") for bits in (8, 16, 32, 64)},
}
# Of ml_dtypes and numpy, without a name in safetensors.
_OTHERS = (
    "complex64",
    "complex128",
    "int4",
    "uint4",
    "float8_e4m3b11fnuz",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
)
_MAX_AXES = 64


@dataclass(frozen=True)
class TensorSpec:
    """One tensor of a file: its dtype and shape."""

    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, array: np.ndarray[Any, Any]) -> TensorSpec:
        """Return the spec of an array."""
        return cls(array.dtype.name, array.shape)

    @property
    def size(self) -> int:
        """The number of bytes."""
        return dtype_of(self.dtype).itemsize * math.prod(self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"


def dtype_of(name: str) -> np.dtype[Any]:
    """Return numpy's dtype of a name that a file may hold.

    Raises:
        CorruptArtifact: no file that unikeras writes has such a dtype.
    """
    if name not in _NAMES and name not in _OTHERS:
        raise CorruptArtifact(f"a tensor has the unknown dtype {name!r:.50}")
    try:
        return np.dtype(name)
    except TypeError:
        pass
    try:
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))
    except (ImportError, AttributeError) as error:
        raise MissingDependency(
            f"a tensor of dtype {name} needs a newer ml_dtypes: pip install -U ml_dtypes"
        ) from error


def is_known(dtype: np.dtype[Any]) -> bool:
    """Say whether files hold tensors of a dtype."""
    return dtype.name in _NAMES or dtype.name in _OTHERS


def parse_table(table: Any) -> dict[str, TensorSpec]:
    """Check a table that was read from a file.

    Args:
        table: `{name: [dtype, [size, ...]]}`, from JSON.

    Raises:
        CorruptArtifact: it is no such table.
    """
    if not isinstance(table, dict):
        raise CorruptArtifact("it has no table of tensors")
    specs = {}
    for name, row in table.items():
        if not isinstance(row, list) or len(row) != 2 or not isinstance(row[0], str) or not _is_shape(row[1]):
            raise CorruptArtifact(f"the tensor {name!r:.100} has no dtype and shape but {row!r:.100}")
        dtype_of(row[0])
        specs[name] = TensorSpec(row[0], tuple(row[1]))
    return specs


def _is_shape(shape: Any) -> bool:
    return (
        isinstance(shape, list)
        and len(shape) <= _MAX_AXES
        and all(type(size) is int and 0 <= size < 2**63 for size in shape)
    )


def header(table: Mapping[str, TensorSpec]) -> bytes:
    """Return the header: eight bytes of length, then JSON; tensors follow in the order of `stored_order`."""
    described: dict[str, Any] = {}
    end = 0
    for name in stored_order(table):
        spec = table[name]
        start, end = end, end + spec.size
        dtype, shape = _stored(spec)
        described[name] = {
            "dtype": dtype,
            "shape": shape,
            "data_offsets": [start, end],
        }
    text = json.dumps(described, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def stored_order(table: Mapping[str, TensorSpec]) -> list[str]:
    """Return the names in the order of their bytes: large elements come first, so that all are aligned."""
    return sorted(table, key=lambda name: -dtype_of(table[name].dtype).itemsize)


def _stored(spec: TensorSpec) -> tuple[str, list[int]]:
    if spec.dtype in _NAMES:
        return _NAMES[spec.dtype], list(spec.shape)
    itemsize = dtype_of(spec.dtype).itemsize
    if itemsize > 8:
        return "U8", [*spec.shape, itemsize]
    return f"U{8 * itemsize}", list(spec.shape)

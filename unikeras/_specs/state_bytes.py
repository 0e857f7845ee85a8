"""The memory of one session as bytes: a safetensors file, whose tensors are keyed by their position.

By position, since Keras numbers layers that have no name by itself, and differently in each process; the names
stand in the header for people. Nothing in a row is trusted: it may have been cut, altered, or made by another
model, and everything about it is checked before any of it is used.
"""

from __future__ import annotations

import functools
import json
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from unikeras._specs.states import StateSpec
from unikeras.errors import MissingDependency

Array = np.ndarray[Any, Any]

_SCHEMA = "1"
# More than any model's labels take; a header that claims to be longer is not read.
_MAX_HEADER = 16 * 2**20
# Each kind of number as safetensors calls it; any other is stored as the integers with the same bits.
_NAMES = {
    "bool": "BOOL",
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
    **{f"{kind}int{bits}": f"{kind.upper() or 'I'}{bits}" for kind in ("", "u") for bits in (8, 16, 32, 64)},
}


class BadRow(Exception):
    """A row that cannot be used, and why.

    Attributes:
        foreign: whether it is whole, and of another model.
    """

    def __init__(self, reason: str, foreign: bool = False) -> None:
        super().__init__(reason)
        self.foreign = foreign


def dtype_of(name: str) -> np.dtype[Any]:
    """Return numpy's dtype of a name, `"bfloat16"` and its kin too.

    Example:
        >>> dtype_of("float32").itemsize, dtype_of("bfloat16").itemsize
        (4, 2)
    """
    try:
        return np.dtype(name)
    except TypeError:
        pass
    try:
        import ml_dtypes
    except ImportError as error:
        raise MissingDependency(f"a state of dtype {name} needs ml_dtypes: pip install ml_dtypes") from error
    return np.dtype(getattr(ml_dtypes, name))


def pack(specs: Sequence[StateSpec], fingerprint: str, arrays: Sequence[Array]) -> bytes:
    """Return a session's state as bytes.

    Args:
        specs: the model's states, in its order.
        fingerprint: the model's.
        arrays: one per spec, of shape `(1, *spec.shape)`, of its dtype.

    Example:
        >>> specs = [StateSpec("gru", "h", (2,), "float32")]
        >>> row = pack(specs, "c0ffee", [np.ones((1, 2), "float32")])
        >>> unpack(specs, "c0ffee", row)
        [array([[1., 1.]], dtype=float32)]
    """
    stored = [_bits(np.ascontiguousarray(array)) for array in arrays]
    metadata = {
        "schema": _SCHEMA,
        "fingerprint": fingerprint,
        "states": _labels(tuple(specs)),
        "crc32": _checksum(array.tobytes() for array in stored),
    }
    return save({str(number): array for number, array in enumerate(stored)}, metadata)


def pack_beginning() -> bytes:
    """Return the row of a session that exists and has had no turn; it fits every model."""
    return save({}, {"schema": _SCHEMA, "begins": "true"})


def unpack(specs: Sequence[StateSpec], fingerprint: str, blob: Any) -> list[Array] | None:
    """Return the state that `pack` made these bytes from, or None for a session that begins.

    Raises:
        BadRow: the bytes are damaged, of another model, or hold a NaN or an Inf.
    """
    metadata = _metadata(blob)
    if metadata.get("schema") != _SCHEMA:
        raise BadRow(
            f"its row has schema {metadata.get('schema')!r:.50}, and this unikeras reads {_SCHEMA!r}"
        )
    if metadata.get("begins") == "true" and "fingerprint" not in metadata:
        return None
    if metadata.get("fingerprint") != fingerprint:
        theirs = str(metadata.get("fingerprint"))
        raise BadRow(f"it is of model {theirs[:12]}, this one is {fingerprint[:12]}", foreign=True)
    tensors = _tensors(blob)
    if set(tensors) != {str(number) for number in range(len(specs))}:
        raise BadRow(f"it holds {len(tensors)} tensors that are not the {len(specs)} of the model")
    found = [tensors[str(number)] for number in range(len(specs))]
    if _checksum(tensor["data"] for tensor in found) != metadata.get("crc32"):
        raise BadRow("its checksum is wrong")
    return [_array(spec, tensor) for spec, tensor in zip(specs, found, strict=True)]


@functools.cache
def _labels(specs: tuple[StateSpec, ...]) -> str:
    return json.dumps([spec.to_dict() for spec in specs])


@functools.cache
def _stored_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype if dtype.name in _NAMES else np.dtype(f"u{dtype.itemsize}")


@functools.cache
def _stored_name(dtype: np.dtype[Any]) -> str:
    return _NAMES[_stored_dtype(dtype).name]


def _bits(array: Array) -> Array:
    return array.view(_stored_dtype(array.dtype))


def _checksum(parts: Any) -> str:
    total = 0
    for part in parts:
        total = zlib.crc32(part, total)
    return f"{total:08x}"


def _metadata(blob: Any) -> dict[str, Any]:
    """Read the part of the header that safetensors keeps to itself when it reads bytes."""
    if not isinstance(blob, bytes):
        raise BadRow(f"its row is no bytes but {type(blob).__name__}")
    length = int.from_bytes(blob[:8], "little")
    if len(blob) < 8 or length > min(len(blob) - 8, _MAX_HEADER):
        raise BadRow(f"its row is cut or its header false ({len(blob)} bytes)")
    try:
        metadata = json.loads(blob[8 : 8 + length])["__metadata__"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise BadRow(f"its header cannot be read ({str(error) or type(error).__name__:.100})") from error
    if not isinstance(metadata, dict):
        raise BadRow("its header has no metadata")
    return metadata


def _tensors(blob: bytes) -> dict[str, Any]:
    try:
        return dict(deserialize(blob))
    except SafetensorError as error:
        raise BadRow(f"its row is no safetensors ({error!s:.200})") from error


def _array(spec: StateSpec, tensor: Any) -> Array:
    dtype, label = dtype_of(spec.dtype), f"{spec.layer}/{spec.name}"
    expected = (_stored_name(dtype), [1, *spec.shape])
    if (tensor["dtype"], list(tensor["shape"])) != expected:
        raise BadRow(
            f"{label} is {tensor['dtype']} {list(tensor['shape'])}, the model's {expected[0]} {expected[1]}"
        )
    array = np.frombuffer(tensor["data"], _stored_dtype(dtype)).view(dtype).reshape(1, *spec.shape).copy()
    if not np.isfinite(array).all():
        raise BadRow(f"{label} holds a NaN or an Inf")
    return array

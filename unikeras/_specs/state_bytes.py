"""The memory of one session as bytes: a safetensors file, whose tensors are keyed by their position.

By position, since Keras numbers layers that have no name by itself, and differently in each process; the names
stand in the header for people. Nothing in a row is trusted: it may have been cut, altered, or made by another
model, and everything about it is checked before any of it is used.

The header of a model's rows differs in the checksum alone, so it is written once; a row that begins with just that
header needs no parser.
"""

from __future__ import annotations

import functools
import json
import math
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from unikeras._specs.states import StateSpec
from unikeras.errors import MissingDependency

Array = np.ndarray[Any, Any]

_SCHEMA = "1"
_CHECKSUM = 8  # hex digits
_NO_CHECKSUM = '"crc32":""'  # a quote inside a label has a backslash before it
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


@functools.cache
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
    layout = _layout(tuple(specs), fingerprint, tuple([(array.dtype, array.shape) for array in arrays]))
    return _join(layout, [array.tobytes() for array in arrays])


def pack_rows(specs: Sequence[StateSpec], fingerprint: str, rows: Sequence[Sequence[Array]]) -> list[bytes]:
    """Return the states of several sessions as bytes, which are of the shapes and dtypes of their specs; see `pack`."""
    layout = _expected(tuple(specs), fingerprint)
    return [_join(layout, [array.tobytes() for array in arrays]) for arrays in rows]


def pack_beginning() -> bytes:
    """Return the row of a session that exists and has had no turn; it fits every model."""
    return save({}, {"schema": _SCHEMA, "begins": "true"})


def unpack(specs: Sequence[StateSpec], fingerprint: str, blob: Any) -> list[Array] | None:
    """Return the state that `pack` made these bytes from, or None for a session that begins.

    Raises:
        BadRow: the bytes are damaged, of another model, or hold a NaN or an Inf.
    """
    data = _split(_expected(tuple(specs), fingerprint), blob)
    if data is None:
        data = _parse(specs, fingerprint, blob)
    return None if data is None else [_array(spec, part) for spec, part in zip(specs, data, strict=True)]


class _Layout(NamedTuple):
    """Where things are in the rows of a model.

    Attributes:
        start: the header up to the checksum.
        end: the rest of the header.
        sizes: how many bytes each state has.
        order: the states in the order in which their bytes follow the header.
    """

    start: bytes
    end: bytes
    sizes: tuple[int, ...]
    order: tuple[int, ...]


@functools.lru_cache(maxsize=64)
def _expected(specs: tuple[StateSpec, ...], fingerprint: str) -> _Layout:
    return _layout(specs, fingerprint, tuple([(dtype_of(spec.dtype), (1, *spec.shape)) for spec in specs]))


@functools.lru_cache(maxsize=64)
def _layout(
    specs: tuple[StateSpec, ...], fingerprint: str, arrays: tuple[tuple[np.dtype[Any], tuple[int, ...]], ...]
) -> _Layout:
    """Write the header of a safetensors file; large elements come first, so that all are aligned."""
    sizes = tuple([dtype.itemsize * math.prod(shape) for dtype, shape in arrays])
    order = tuple(sorted(range(len(arrays)), key=lambda number: -arrays[number][0].itemsize))
    metadata = {"schema": _SCHEMA, "fingerprint": fingerprint, "states": _labels(specs), "crc32": ""}
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for number in order:
        dtype, shape = arrays[number]
        start, end = end, end + sizes[number]
        header[str(number)] = {
            "dtype": _stored_name(dtype),
            "shape": list(shape),
            "data_offsets": [start, end],
        }
    before, after = json.dumps(header, separators=(",", ":")).split(_NO_CHECKSUM)
    before, after = f"{before}{_NO_CHECKSUM[:-1]}", f'"{after}'
    length = len(before) + _CHECKSUM + len(after)
    padded = -(-length // 8) * 8
    after += " " * (padded - length)
    return _Layout(padded.to_bytes(8, "little") + before.encode(), after.encode(), sizes, order)


def _join(layout: _Layout, data: Sequence[bytes]) -> bytes:
    ordered = [data[number] for number in layout.order]
    return b"".join([layout.start, _checksum(data).encode(), layout.end, *ordered])


def _split(layout: _Layout, blob: Any) -> list[memoryview] | None:
    """Return the bytes of each state, of a row that `pack` made with this layout; None of any other."""
    begin = len(layout.start) + _CHECKSUM
    place = begin + len(layout.end)
    if (
        type(blob) is not bytes
        or len(blob) != place + sum(layout.sizes)
        or not blob.startswith(layout.start)
        or not blob.startswith(layout.end, begin)
    ):
        return None
    view, parts = memoryview(blob), {}
    for number in layout.order:
        parts[number] = view[place : place + layout.sizes[number]]
        place += layout.sizes[number]
    data = [parts[number] for number in range(len(parts))]
    return data if _checksum(data).encode() == blob[begin - _CHECKSUM : begin] else None


def _parse(specs: Sequence[StateSpec], fingerprint: str, blob: Any) -> list[Any] | None:
    """Return the bytes of each state, or None of a session that begins; say of a row what is wrong with it."""
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
    for spec, tensor in zip(specs, found, strict=True):
        expected = (_stored_name(dtype_of(spec.dtype)), [1, *spec.shape])
        if (tensor["dtype"], list(tensor["shape"])) != expected:
            raise BadRow(
                f"{spec.layer}/{spec.name} is {tensor['dtype']} {list(tensor['shape'])}, the model's {expected[0]} "
                f"{expected[1]}"
            )
    return [tensor["data"] for tensor in found]


@functools.cache
def _labels(specs: tuple[StateSpec, ...]) -> str:
    return json.dumps([spec.to_dict() for spec in specs])


@functools.cache
def _stored_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype if dtype.name in _NAMES else np.dtype(f"u{dtype.itemsize}")


@functools.cache
def _stored_name(dtype: np.dtype[Any]) -> str:
    return _NAMES[_stored_dtype(dtype).name]


def _checksum(parts: Iterable[Any]) -> str:
    total = 0
    for part in parts:
        total = zlib.crc32(part, total)
    return f"{total:0{_CHECKSUM}x}"


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


def _array(spec: StateSpec, data: Any) -> Array:
    dtype = dtype_of(spec.dtype)
    array = np.frombuffer(data, _stored_dtype(dtype)).view(dtype).reshape(1, *spec.shape).copy()
    if not np.isfinite(array).all():
        raise BadRow(f"{spec.layer}/{spec.name} holds a NaN or an Inf")
    return array

"""One checkpoint as one file: a zip archive, stored without compression, of two members.

`state.json` says which version of the format it is, and holds whatever is no array; `state.safetensors` holds the
arrays, and any reader of safetensors reads it once it is unpacked. Neither is a pickle. The archive has the checksums.

Nothing in a file is trusted: it may be truncated, altered or made by somebody else. A file is read only if it has the
layout that `write` makes, so most of what archives can do to their readers is refused at once.
"""

from __future__ import annotations

import json
import os
import stat
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from unikeras._base.files import written_atomically
from unikeras.errors import ArgumentError, ArtifactNotFound, CorruptArtifact, OutputError
from unikeras.training.checkpoints._nested_state import Arrays
from unikeras.training.checkpoints._tensor_header import (
    TensorSpec,
    dtype_of,
    header,
    is_known,
    parse_table,
    stored_order,
)

FORMAT = "unikeras-checkpoint"
VERSION = 1

_JSON, _TENSORS = "state.json", "state.safetensors"
# The archive's last 22 bytes: signature, no other disks, two members here, two in all; no comment after it.
_END, _END_SIZE = b"PK\x05\x06\0\0\0\0\x02\0\x02\0", 22
# More than the state of any run takes: arrays are not in it.
_MAX_JSON = 64 * 2**20
_CHUNK = 2**18  # what a processor's cache holds, between the checksum and the write
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)


class OtherVersion(CorruptArtifact):
    """A file is of a version of the format that this unikeras does not read; it may be whole."""


@dataclass
class Content:
    """What one checkpoint holds.

    Attributes:
        state: JSON.
        arrays: numpy arrays of any shape, by name.
    """

    state: dict[str, Any]
    arrays: Arrays = field(default_factory=dict)


def write(path: Path, content: Content) -> None:
    """Write a checkpoint atomically: to a temporary path, flushed to the disk, read back, and renamed.

    Args:
        path: where it is to stand; its folder exists.
        content: what it holds.

    Raises:
        OutputError: the file cannot be written, or is not what was written when it is read back.
        ArgumentError: an array has a dtype that no file holds.
    """
    for name, array in content.arrays.items():
        if not is_known(array.dtype):
            raise ArgumentError(f"{name!r} has dtype {array.dtype}, which a checkpoint cannot hold")
    with written_atomically(path) as temporary, temporary.open("xb", buffering=0) as file:
        start = _write_members(file, content)
        with _flushed_meanwhile(file):
            _verify(temporary, content, start)


@contextmanager
def _flushed_meanwhile(file: IO[bytes]) -> Iterator[None]:
    """Flush a file to the disk while the block works; what it reads comes from the system's memory."""
    with ThreadPoolExecutor(1) as other_thread:
        try:
            flushed = other_thread.submit(os.fsync, file.fileno())
        except RuntimeError:  # no thread starts any more while the interpreter ends
            os.fsync(file.fileno())
            flushed = None
        yield
        if flushed is not None:
            flushed.result()


def _write_members(file: IO[bytes], content: Content) -> int:
    """Write both members; return where the second one's bytes begin."""
    table = {name: TensorSpec.of(array) for name, array in content.arrays.items()}
    rows = {name: [spec.dtype, list(spec.shape)] for name, spec in table.items()}
    document = {"format": FORMAT, "version": VERSION, "state": content.state, "tensors": rows}
    text = json.dumps(document, separators=(",", ":")).encode()
    if len(text) > _MAX_JSON:
        raise ArgumentError(
            f"the state is {len(text)} bytes of JSON, more than {_MAX_JSON}; long lists of numbers belong into "
            "numpy arrays"
        )
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        with archive.open(zipfile.ZipInfo(_JSON, _FIXED_TIME), "w", force_zip64=True) as member:
            member.write(text)
        with archive.open(zipfile.ZipInfo(_TENSORS, _FIXED_TIME), "w", force_zip64=True) as member:
            start = file.tell()
            for part in _tensor_parts(table, content.arrays):
                member.write(
                    bytes(part)
                )  # a copy: the checksum is of what is written, whoever changes the array
    return start


def _tensor_parts(table: Mapping[str, TensorSpec], arrays: Arrays) -> Iterator[Any]:
    yield header(table)
    for name in stored_order(table):
        data = _bytes_of(arrays[name])
        for start in range(0, len(data), _CHUNK):
            yield data[start : start + _CHUNK]


def _bytes_of(array: np.ndarray[Any, Any]) -> memoryview:
    data: Any = array.reshape(-1).view(np.uint8)
    return memoryview(data)


def _verify(path: Path, content: Content, start: int) -> None:
    """Read a file back and compare all of it with what was written; `start` is where the tensors begin."""
    try:
        with _opened(path) as archive:
            state, table = _read_state(archive)
            _checked_size(archive, table)
        if json.dumps(state) != json.dumps(content.state) or table.keys() != content.arrays.keys():
            raise CorruptArtifact("its state differs")
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            for part in _tensor_parts(table, content.arrays):
                found = bytearray(len(part))
                file.readinto(found)
                if found != part:
                    raise CorruptArtifact("its arrays differ; were they changed while they were saved?")
    except CorruptArtifact as error:
        raise OutputError(f"{path.name} does not hold what was written to it: {error}") from error


def read(path: Path) -> Content:
    """Read a checkpoint, and check all of it.

    Returns:
        What it holds; the arrays share one piece of memory.

    Raises:
        ArtifactNotFound: there is nothing at the path.
        CorruptArtifact: the file is damaged, of another version of the format, or no checkpoint.
    """
    with _opened(path) as archive:
        state, table = _read_state(archive)
        return Content(state, _read_arrays(archive, table))


def read_state(path: Path) -> dict[str, Any]:
    """Read what is no array of a checkpoint; the arrays are not looked at, but a truncated file is noticed.

    Raises:
        ArtifactNotFound: there is nothing at the path.
        CorruptArtifact: the file is damaged, of another version of the format, or no checkpoint.
    """
    with _opened(path) as archive:
        return _read_state(archive)[0]


def is_checkpoint(path: Path) -> bool:
    """Say whether a file begins as those of `write` do, whatever has happened to the rest of it."""
    beginning = b"PK\x03\x04"
    try:
        with path.open("rb") as file:
            start = file.read(30 + len(_JSON))
    except OSError:
        return False
    return start.startswith(beginning) and start.endswith(_JSON.encode())


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            raise CorruptArtifact(f"{path} is not a checkpoint: it is not a file")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - _END_SIZE))
            end = file.read(_END_SIZE)
            if not end.startswith(_END) or not end.endswith(b"\0\0"):
                raise CorruptArtifact("it is truncated, or not a checkpoint")
            with zipfile.ZipFile(file) as archive:
                _check_members(archive.infolist(), size)
                yield archive
    except FileNotFoundError as error:
        raise ArtifactNotFound(f"there is no checkpoint at {path}") from error
    except CorruptArtifact as error:
        raise type(error)(f"{path} cannot be used: {error}") from error
    except (
        zipfile.BadZipFile,
        EOFError,
        ValueError,
        NotImplementedError,
        LookupError,
        OverflowError,
    ) as error:
        raise CorruptArtifact(f"{path} is damaged: {error!s:.200}") from error
    except RecursionError as error:
        raise CorruptArtifact(f"{path} is damaged: its JSON is nested too deeply") from error
    except OSError as error:
        raise CorruptArtifact(f"{path} cannot be read: {error.strerror or error}") from error


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    if [member.filename for member in members] != [_JSON, _TENSORS]:
        raise CorruptArtifact("it is another kind of archive")
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise CorruptArtifact(f"{member.filename} is compressed")
        if member.flag_bits & 1:
            raise CorruptArtifact(f"{member.filename} is encrypted")
    if sum(member.file_size for member in members) > size:
        raise CorruptArtifact("its members are larger than the file")
    if members[0].file_size > _MAX_JSON:
        raise CorruptArtifact(f"{_JSON} has {members[0].file_size} bytes, more than {_MAX_JSON}")


def _read_state(archive: zipfile.ZipFile) -> tuple[dict[str, Any], dict[str, TensorSpec]]:
    document = json.loads(archive.read(_JSON), object_pairs_hook=_without_duplicates)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise CorruptArtifact("it is another kind of archive")
    if document.get("version") != VERSION:
        raise OtherVersion(
            f"it is of version {document.get('version')!r:.20} of the format, and this unikeras reads {VERSION}"
        )
    if not isinstance(document.get("state"), dict):
        raise CorruptArtifact("it has no state")
    return document["state"], parse_table(document.get("tensors"))


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise CorruptArtifact(f"{next(n for n in names if names.count(n) > 1)!r:.100} stands in it twice")
    return found


def _read_arrays(archive: zipfile.ZipFile, table: dict[str, TensorSpec]) -> Arrays:
    body, place = np.empty(_checked_size(archive, table), np.uint8), 0
    view = _bytes_of(body)
    for chunk in _tensor_chunks(archive, table):
        view[place : place + len(chunk)] = chunk
        place += len(chunk)
    arrays, place = {}, 0
    for name in stored_order(table):
        spec = table[name]
        arrays[name] = body[place : place + spec.size].view(dtype_of(spec.dtype)).reshape(spec.shape)
        place += spec.size
    return arrays


def _tensor_chunks(archive: zipfile.ZipFile, table: dict[str, TensorSpec]) -> Iterator[bytes]:
    """Yield the bytes of all tensors; after the last of them the checksum was compared."""
    _checked_size(archive, table)
    beginning = header(table)
    with archive.open(_TENSORS) as member:
        if member.read(len(beginning)) != beginning:
            raise CorruptArtifact(f"the header of {_TENSORS} differs from the table in {_JSON}")
        while chunk := member.read(_CHUNK):
            yield chunk


def _checked_size(archive: zipfile.ZipFile, table: dict[str, TensorSpec]) -> int:
    """Return the number of bytes of all tensors, which the file has."""
    tensors = sum(spec.size for spec in table.values())
    expected, size = len(header(table)) + tensors, archive.getinfo(_TENSORS).file_size
    if size != expected:
        raise CorruptArtifact(f"its tensors take {expected} bytes, and {_TENSORS} has {size}")
    return tensors

"""Embeddings for TensorBoard's projector: tables beside a configuration that names them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from unikeras._base.files import written_atomically
from unikeras.callbacks._summaries import numpy_of
from unikeras.errors import ArgumentValueError, OutputError

_CONFIGURATION = "projector_config.pbtxt"
# The projector loads no larger sprite: https://github.com/lanpa/tensorboardX/issues/516
_LARGEST_SPRITE = 8192


def write_embedding(
    folder: Path,
    tag: str,
    step: int,
    vectors: Any,
    metadata: Sequence[Any] | None = None,
    header: Sequence[str] | None = None,
    pictures: Any = None,
) -> None:
    """Write one embedding into a run's folder and name it in the projector's configuration.

    Args:
        folder: the run's folder.
        tag: the embedding's name.
        step: the global step.
        vectors: numbers of shape (n, d).
        metadata: n labels, or n rows where there is a header.
        header: the names of the columns of the metadata.
        pictures: shape (n, channels, size, size), uint8, or floats in 0..1.

    Raises:
        ArgumentValueError: shapes do not fit.
        OutputError: the folder cannot be written.
    """
    matrix = numpy_of(vectors, f"embedding {tag!r}")
    if matrix.ndim != 2 or matrix.size == 0:
        raise ArgumentValueError(f"embedding {tag!r} has shape {matrix.shape}; expected (points, dimensions)")
    place = f"{step:05d}/{quote(tag, safe='')}"
    entry = [
        f"tensor_name: {json.dumps(f'{tag}:{step:05d}')}",
        f"tensor_path: {json.dumps(place + '/tensors.tsv')}",
    ]
    try:
        (folder / place).mkdir(parents=True, exist_ok=True)
        lines = ["\t".join(repr(float(number)) for number in row) for row in matrix]
        (folder / place / "tensors.tsv").write_text("\n".join(lines) + "\n")
        if metadata is not None:
            rows = _rows(metadata, header, len(matrix), tag)
            (folder / place / "metadata.tsv").write_text("\n".join(rows) + "\n", "utf-8")
            entry.append(f"metadata_path: {json.dumps(place + '/metadata.tsv')}")
        if pictures is not None:
            size = _write_sprite(folder / place / "sprite.png", pictures, len(matrix), tag)
            path = json.dumps(place + "/sprite.png")
            entry.append(f"sprite {{ image_path: {path} single_image_dim: {size} single_image_dim: {size} }}")
        _add_entry(folder / _CONFIGURATION, entry)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write an embedding to {folder}: {error.strerror or error}") from error


def _add_entry(path: Path, entry: Sequence[str]) -> None:
    """Add an embedding to the configuration; one of the same name is replaced."""
    line = f"embeddings {{ {' '.join(entry)} }}"
    others = path.read_text("utf-8").splitlines() if path.exists() else []
    kept = [other for other in others if entry[0] not in other]
    with written_atomically(path) as temporary:
        temporary.write_text("\n".join([*kept, line]) + "\n", "utf-8")


def _rows(metadata: Sequence[Any], header: Sequence[str] | None, count: int, tag: str) -> list[str]:
    rows = [list(row) for row in metadata] if header else [[label] for label in metadata]
    if len(rows) != count:
        raise ArgumentValueError(f"embedding {tag!r} has {count} points and {len(rows)} labels")
    if header and any(len(row) != len(header) for row in rows):
        raise ArgumentValueError(f"embedding {tag!r}: each row of metadata needs {len(header)} columns")
    return [
        "\t".join(" ".join(str(cell).split()) for cell in row)
        for row in ([list(header)] if header else []) + rows
    ]


def _write_sprite(path: Path, pictures: Any, count: int, tag: str) -> int:
    """Write all pictures as one, in rows, and return the side of one."""
    from unikeras._base.optional import require

    array = numpy_of(pictures, f"pictures of embedding {tag!r}")
    if (
        array.ndim != 4
        or len(array) != count
        or array.shape[2] != array.shape[3]
        or array.shape[1] not in (1, 3)
    ):
        raise ArgumentValueError(
            f"pictures of embedding {tag!r} have shape {array.shape}; expected ({count}, 1 or 3, size, size)"
        )
    size, columns = array.shape[3], math.ceil(math.sqrt(count))
    if size * columns > _LARGEST_SPRITE:
        raise ArgumentValueError(
            f"pictures of embedding {tag!r} make a sprite of {size * columns} pixels a side; "
            f"the projector takes {_LARGEST_SPRITE}"
        )
    if array.dtype != np.uint8:
        array = (np.nan_to_num(array).clip(0, 1) * 255).astype("uint8")
    array = np.broadcast_to(array.transpose(0, 2, 3, 1), (count, size, size, 3))
    sprite = np.zeros((columns * size, columns * size, 3), "uint8")
    for i, picture in enumerate(array):
        top, left = i // columns * size, i % columns * size
        sprite[top : top + size, left : left + size] = picture
    require("PIL.Image", "data", "a picture for TensorBoard").fromarray(sprite).save(path)
    return size

"""The tables of embedding layers for TensorBoard's projector."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from unikeras.callbacks._step_counter import check_frequency
from unikeras.callbacks._summary_writer import SummaryWriter
from unikeras.errors import ArgumentValueError, OutputError


class EmbeddingTables:
    """Writes the table of each `keras.layers.Embedding` at some epochs.

    Args:
        frequency: each so many epochs; 0 for never.
        metadata: labels of the rows: a list, or the name of a file; or a dict of these by the names of layers.
        folder: where files of labels stand that have no absolute path.

    Raises:
        ArgumentError: `frequency` is no whole number.
        ArgumentValueError: it is negative.
    """

    def __init__(self, frequency: Any, metadata: Any, folder: Path) -> None:
        self._frequency = check_frequency("embeddings_freq", frequency)
        self._metadata = metadata
        self._folder = folder

    def check(self, model: Any) -> None:
        """Refuse labels for layers that the model has not.

        Raises:
            ArgumentValueError: a name is not that of an embedding layer.
        """
        if isinstance(self._metadata, Mapping):
            known = [layer.name for layer in _embeddings(model)]
            unknown = [name for name in self._metadata if name not in known]
            if unknown:
                raise ArgumentValueError(
                    f"embeddings_metadata names {', '.join(map(repr, unknown))}; "
                    f"the model's embedding layers are {', '.join(map(repr, known)) or 'none'}"
                )

    def write(self, writer: SummaryWriter, model: Any, epoch: int) -> None:
        """Write all tables, if it is their epoch; a disk that fails is a warning."""
        if not self._frequency or epoch % self._frequency:
            return
        for layer in _embeddings(model):
            labels, header = self._labels_of(layer.name)
            try:
                writer.add_embedding(
                    layer.embeddings, labels, global_step=epoch, tag=layer.name, metadata_header=header
                )
            except OutputError as error:
                warnings.warn(f"{error}; training goes on", stacklevel=2)

    def _labels_of(self, name: str) -> tuple[Sequence[Any] | None, Sequence[str] | None]:
        """Return labels, or rows of them and their header."""
        labels = self._metadata.get(name) if isinstance(self._metadata, Mapping) else self._metadata
        if not isinstance(labels, str | Path):
            return labels, None
        path = self._folder / labels
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ArgumentValueError(
                f"the labels of embedding {name!r} cannot be read from {path}: {error}"
            ) from error
        rows = [line.split("\t") for line in lines]
        # The projector's own rule: one column has no header, several have one.
        return (lines, None) if not rows or len(rows[0]) == 1 else (rows[1:], rows[0])


def _embeddings(model: Any) -> list[Any]:
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Embedding) and layer.built]

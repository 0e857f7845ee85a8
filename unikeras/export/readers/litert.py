"""LiteRT files, in the LiteRT interpreter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from unikeras._keras.samples import Array
from unikeras._specs.signature import Signature, TensorSpec
from unikeras.export._metadata import KEY
from unikeras.export.readers._operators import check_litert
from unikeras.export.readers.artifact import Artifact, foreign_signature
from unikeras.export.request.needs import describe_missing


class LiteRtArtifact(Artifact):
    """An interpreter on the CPU; a file for a fixed number of examples is run as often as needed."""

    format = "litert"
    worker = None
    names = "identifiers"
    magic = (4, b"TFL3")
    modules = ("ai_edge_litert.interpreter",)

    @classmethod
    def missing(cls) -> str | None:
        """Say whether LiteRT is absent."""
        return describe_missing("running litert", {"litert": ["ai_edge_litert"]})

    @classmethod
    def look(cls, path: Path, trust: bool) -> list[str]:
        """Refuse custom operators."""
        if not trust:
            check_litert(path.read_bytes())
        return []

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        content = path.read_bytes()
        note = _note(content)
        self._interpreter = Interpreter(model_content=content)
        self._runner = self._interpreter.get_signature_runner()
        inputs, outputs = (
            [_spec(name, detail) for name, detail in side.items()]
            for side in (self._runner.get_input_details(), self._runner.get_output_details())
        )
        self._batch = next((spec.shape[0] for spec in inputs if spec.shape), None)
        self._read(note, foreign_signature(inputs, outputs))
        self._keys = self.signature.identifiers if self.metadata else self.signature.input_names
        if self._batch is not None and any(axis for spec in self.signature.inputs for axis in spec.dynamic):
            self.signature = _with_free_batch(self.signature)

    def run(self, inputs: list[Array]) -> list[Array]:
        """Run the signature, for the file's own number of examples at a time."""
        count = len(inputs[0]) if inputs and inputs[0].ndim else self._batch
        if self._batch is None or count == self._batch:
            return self._once(inputs)
        parts = zip(*(self._once(part) for part in _parts(inputs, self._batch)), strict=True)
        return [np.concatenate(pieces)[:count] for pieces in parts]

    def _once(self, inputs: list[Array]) -> list[Array]:
        outputs = self._runner(**dict(zip(self._keys, inputs, strict=True)))
        return [outputs[name] for name in self.signature.output_names]


def _parts(inputs: list[Array], size: int) -> Iterator[list[Array]]:
    """Yield groups of examples, the last one filled up with its last example."""
    for start in range(0, len(inputs[0]), size):
        groups = [array[start : start + size] for array in inputs]
        short = size - len(groups[0])
        yield [np.concatenate([group, np.repeat(group[-1:], short, 0)]) for group in groups]


def _with_free_batch(signature: Signature) -> Signature:
    """Return what `predict` takes: any number of examples."""
    inputs = [
        replace(spec, shape=(None, *spec.shape[1:]), axes=("batch", *spec.axes))
        if spec.shape and spec.shape[0] is not None
        else spec
        for spec in signature.inputs
    ]
    return replace(signature, inputs=tuple(inputs))


def _spec(name: str, detail: Any) -> TensorSpec:
    shape = tuple(int(size) if size >= 0 else None for size in detail["shape_signature"])
    return TensorSpec(name, shape, np.dtype(detail["dtype"]).name)


def _note(content: bytes) -> bytes | None:
    """Return what `export_model` wrote into the file, where it was that."""
    from ai_edge_litert import schema_py_generated as schema

    if content[4:8] != b"TFL3":
        raise ValueError("it does not begin as a LiteRT file does")
    model = schema.Model.GetRootAsModel(content, 0)
    for number in range(model.MetadataLength()):
        entry = model.Metadata(number)
        if entry.Name() == KEY.encode():
            return bytes(model.Buffers(entry.Buffer()).DataAsNumpy())
    return None

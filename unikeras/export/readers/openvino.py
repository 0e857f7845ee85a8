"""OpenVINO's two files, in its runtime."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import Any

from unikeras._keras.samples import Array
from unikeras._specs.signature import TensorSpec
from unikeras.export._metadata import KEY, WEIGHTS_KEY, loads, sha256_of_file
from unikeras.export.readers._operators import check_openvino
from unikeras.export.readers.artifact import Artifact, foreign_signature
from unikeras.export.readers.openvino_import import load_openvino
from unikeras.export.request.needs import describe_missing

# OpenVINO's names where they differ from numpy's.
DTYPES = {
    "f16": "float16", "f32": "float32", "f64": "float64", "bf16": "bfloat16", "boolean": "bool",
    "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64",
    "u8": "uint8", "u16": "uint16", "u32": "uint32", "u64": "uint64",
}  # fmt: skip

# Where a CPU has instructions for bfloat16, OpenVINO would compute in it.
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


class OpenVinoArtifact(Artifact):
    """A compiled model on the CPU, at full precision."""

    format = "openvino"
    worker = None

    @classmethod
    def missing(cls) -> str | None:
        """Say whether OpenVINO is absent."""
        return describe_missing("running openvino", {"openvino": ["openvino"]})

    @classmethod
    def look(cls, path: Path, trust: bool) -> list[str]:
        """Refuse extensions."""
        if not trust:
            check_openvino(path)
        return []

    @classmethod
    def prepare(cls) -> None:
        """Import OpenVINO without its statistics."""
        load_openvino()

    def __init__(self, path: Path) -> None:
        weights = path.with_suffix(".bin")
        if not weights.is_file():
            raise ValueError(f"its weights, {weights.name}, are not beside it")
        core = load_openvino().Core()
        model = core.read_model(str(path), str(weights))
        if model.has_rt_info(WEIGHTS_KEY):
            expected = model.get_rt_info(WEIGHTS_KEY).astype(str)
            if sha256_of_file(weights) != expected:
                raise ValueError("the .bin beside it is not the one that it was written with")
        self._compiled = core.compile_model(model, "CPU", EXACT)
        note = model.get_rt_info(KEY).astype(str) if model.has_rt_info(KEY) else None
        inputs, outputs = (
            [_spec(port, name) for port, name in zip_longest(ports, _said(note, side)[: len(ports)])]
            for side, ports in (("inputs", self._compiled.inputs), ("outputs", self._compiled.outputs))
        )
        self._names = [spec.name for spec in inputs]
        self._read(note, foreign_signature(inputs, outputs))

    def run(self, inputs: list[Array]) -> list[Array]:
        """Run the model; inputs and outputs stand in the signature's order."""
        outputs = self._compiled(dict(zip(self._names, inputs, strict=True)))
        return [outputs[port] for port in self._compiled.outputs]


def _said(note: str | None, side: str) -> list[Any]:
    """Return what metadata calls the tensors of one side, whatever that is."""
    rows = (loads(note).get("signature") or {}).get(side) or []
    return [row.get("name") for row in rows]


def _spec(port: Any, name: Any) -> TensorSpec:
    """Return one tensor, under the metadata's name for it where that is one of the several that it has."""
    shape = tuple(None if size.is_dynamic else size.get_length() for size in port.get_partial_shape())
    kind = port.get_element_type().get_type_name()
    known = name if name in port.get_names() else port.get_any_name()
    return TensorSpec(known, shape, DTYPES.get(kind, kind))

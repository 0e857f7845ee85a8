"""OpenVINO's two files, in its runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unikeras.export._metadata import KEY
from unikeras.export._needs import lacking
from unikeras.export._samples import Array
from unikeras.export._signature import TensorSpec
from unikeras.export.runtimes._base import Artifact, foreign
from unikeras.export.runtimes._openvino import load_openvino
from unikeras.export.runtimes._operators import check_openvino

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
        return lacking("running openvino", {"openvino": ["openvino"]})

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
        self._compiled = core.compile_model(model, "CPU", EXACT)
        inputs, outputs = (list(map(_spec, side)) for side in (self._compiled.inputs, self._compiled.outputs))
        self._names = [spec.name for spec in inputs]
        note = model.get_rt_info(KEY).astype(str) if model.has_rt_info(KEY) else None
        self._read(note, foreign(inputs, outputs))

    def run(self, inputs: list[Array]) -> list[Array]:
        """Run the model; inputs and outputs stand in the signature's order."""
        outputs = self._compiled(dict(zip(self._names, inputs, strict=True)))
        return [outputs[port] for port in self._compiled.outputs]


def _spec(port: Any) -> TensorSpec:
    shape = tuple(None if size.is_dynamic else size.get_length() for size in port.get_partial_shape())
    kind = port.get_element_type().get_type_name()
    return TensorSpec(port.get_any_name(), shape, DTYPES.get(kind, kind))

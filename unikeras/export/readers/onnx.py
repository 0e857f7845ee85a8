"""ONNX files, in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unikeras._keras.samples import Array
from unikeras._specs.signature import TensorSpec
from unikeras.export._metadata import KEY
from unikeras.export.readers._operators import check_onnx
from unikeras.export.readers.artifact import Artifact, foreign_signature
from unikeras.export.request.needs import describe_missing

# ONNX Runtime's names where they differ from numpy's.
DTYPES = {"float": "float32", "double": "float64"}


class OnnxArtifact(Artifact):
    """An inference session on the CPU."""

    format = "onnx"
    worker = None
    modules = ("onnxruntime",)

    @classmethod
    def missing(cls) -> str | None:
        """Say whether onnxruntime is absent."""
        return describe_missing("running onnx", {"onnx": ["onnxruntime"]})

    @classmethod
    def look(cls, path: Path, trust: bool) -> list[str]:
        """Refuse operators that ONNX Runtime does not have; return the files with weights."""
        return check_onnx(path.read_bytes(), trust)

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # errors are raised as well
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        inputs, outputs = (
            list(map(_spec, side())) for side in (self._session.get_inputs, self._session.get_outputs)
        )
        self._names = [spec.name for spec in inputs]
        self._read(
            self._session.get_modelmeta().custom_metadata_map.get(KEY), foreign_signature(inputs, outputs)
        )

    def run(self, inputs: list[Array]) -> list[Array]:
        """Run the session; inputs and outputs stand in the signature's order."""
        outputs: list[Array] = self._session.run(None, dict(zip(self._names, inputs, strict=True)))
        return outputs


def _spec(value: Any) -> TensorSpec:
    name = value.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(size if isinstance(size, int) else None for size in value.shape)
    return TensorSpec(value.name, shape, DTYPES.get(name, name))

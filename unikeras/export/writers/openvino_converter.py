"""OpenVINO's two files, by its reader of the ONNX that another writer writes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from unikeras.export._metadata import KEY, WEIGHTS_KEY, dumps, sha256_of_file
from unikeras.export.readers.openvino_import import load_openvino
from unikeras.export.request.needs import describe_missing
from unikeras.export.verify import options_read_back
from unikeras.export.writers.writer import Writer, WriteRequest


class OpenVino(Writer):
    """The ONNX of another writer, read by OpenVINO and written in its own format at full precision.

    Args:
        onnx: a writer to ONNX.
    """

    formats = ("openvino",)

    def __init__(self, onnx: Writer) -> None:
        self.name = f"openvino by {onnx.name}"
        self.backends = onnx.backends
        self.packages = (*onnx.packages, "openvino")
        self.crosses_backends = onnx.crosses_backends
        self.options = onnx.options
        self._onnx = onnx

    def missing(self, format: str) -> str | None:
        """Say whether OpenVINO, or what the ONNX writer needs, is absent."""
        return describe_missing("writing openvino", {"openvino": ["openvino"]}) or self._onnx.missing("onnx")

    def write(self, model: Any, path: Path, request: WriteRequest) -> str | None:
        """Write the ONNX file, read it, and write the graph and, beside it, the weights."""
        openvino = load_openvino()
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            onnx = Path(folder, "model.onnx")
            remark = self._onnx.write(
                model, onnx, WriteRequest("onnx", request.signature, {}, request.options)
            )
            options_read_back.check("onnx", onnx, request.options)
            # Not openvino.convert_model, which sends usage statistics over the network.
            converted = openvino.Core().read_model(str(onnx))
        converted.set_rt_info(dumps(request.metadata), KEY)
        openvino.save_model(converted, str(path), compress_to_fp16=False)
        # Two files cannot be replaced in one step, so the first says which second one it belongs to.
        converted.set_rt_info(sha256_of_file(path.with_suffix(".bin")), WEIGHTS_KEY)
        openvino.save_model(converted, str(path), compress_to_fp16=False)
        return remark

"""The toolchains that write artifacts, in the order in which they are tried."""

from __future__ import annotations

from unikeras.export.writers.cross_backend import CrossBackendWriter
from unikeras.export.writers.keras_saved_model import KerasSavedModel
from unikeras.export.writers.lowered import Lowered, LoweredOnnx
from unikeras.export.writers.openvino_converter import OpenVino
from unikeras.export.writers.tf2onnx import Tf2Onnx
from unikeras.export.writers.tflite_converter import LiteRt
from unikeras.export.writers.torch_jit import TorchScriptTrace
from unikeras.export.writers.torch_onnx import TorchOnnx, TorchTraceOnnx
from unikeras.export.writers.torch_pt2 import TorchExport
from unikeras.export.writers.writer import Writer, WriteRequest

__all__ = ["WRITERS", "WriteRequest", "Writer", "writers_to"]

TO_ONNX: list[Writer] = [
    LoweredOnnx(TorchOnnx()),
    LoweredOnnx(TorchTraceOnnx()),
    TorchOnnx(),
    TorchTraceOnnx(),
    Tf2Onnx(),
]

WRITERS: list[Writer] = [
    KerasSavedModel(),
    Lowered(),
    TorchScriptTrace(),
    *TO_ONNX,
    TorchExport(),
    LiteRt(),
    *(OpenVino(writer) for writer in TO_ONNX),
]


def writers_to(format: str, backend: str | None) -> list[Writer]:
    """Return all writers to a format, installed or not: those in this process first, then the cross-backend exports.

    Args:
        format: a format's name.
        backend: the backend in use; None where none is installed.
    """
    writers = [writer for writer in WRITERS if format in writer.formats]
    here = [writer for writer in writers if backend in writer.backends]
    crossing = [writer for writer in writers if writer.crosses_backends]
    return here + [
        CrossBackendWriter(writer, other)
        for writer in crossing
        for other in writer.backends
        if other != backend
    ]

"""The toolchains that write artifacts, in the order in which they are tried."""

from __future__ import annotations

from unikeras.export.writers.cross_backend import Hop
from unikeras.export.writers.keras_saved_model import KerasSavedModel
from unikeras.export.writers.lowered import Lowered, LoweredOnnx
from unikeras.export.writers.openvino_converter import OpenVino
from unikeras.export.writers.tf2onnx import Tf2Onnx
from unikeras.export.writers.tflite_converter import LiteRt
from unikeras.export.writers.torch_jit import TorchScriptTrace
from unikeras.export.writers.torch_onnx import TorchOnnx, TorchTraceOnnx
from unikeras.export.writers.torch_pt2 import TorchExport
from unikeras.export.writers.writer import Route, WriteRequest

__all__ = ["ROUTES", "Route", "WriteRequest", "routes_to"]

TO_ONNX: list[Route] = [
    LoweredOnnx(TorchOnnx()),
    LoweredOnnx(TorchTraceOnnx()),
    TorchOnnx(),
    TorchTraceOnnx(),
    Tf2Onnx(),
]

ROUTES: list[Route] = [
    KerasSavedModel(),
    Lowered(),
    TorchScriptTrace(),
    *TO_ONNX,
    TorchExport(),
    LiteRt(),
    *(OpenVino(route) for route in TO_ONNX),
]


def routes_to(format: str, backend: str | None) -> list[Route]:
    """Return all routes to a format, installed or not: those in this process first, then the cross-backend exports.

    Args:
        format: a format's name.
        backend: the backend in use; None where none is installed.
    """
    writers = [route for route in ROUTES if format in route.formats]
    here = [route for route in writers if backend in route.backends]
    hopping = [route for route in writers if route.hops]
    return here + [Hop(route, other) for route in hopping for other in route.backends if other != backend]

"""What an artifact itself says of the options that it was asked for: a toolchain may ignore one in silence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unikeras.errors import ExportError

# Under this name torch.onnx.export takes what tf2onnx and `export_model` call `opset`.
OPSETS = ("opset", "opset_version")


def check(format: str, path: Path, options: Mapping[str, Any]) -> None:
    """Raise where an artifact lacks what was asked for.

    Args:
        format: the artifact's.
        path: where it was written.
        options: what its writer got.

    Raises:
        ExportError: the writer ignored an option; the message says what came instead.
    """
    if format in CHECKS:
        CHECKS[format](path, options)


def _check_onnx(path: Path, options: Mapping[str, Any]) -> None:
    wanted = [options[name] for name in OPSETS if options.get(name) is not None]
    if not wanted:
        return
    import onnx

    found = {one.domain: one.version for one in onnx.load(path, load_external_data=False).opset_import}
    version = found.get("", found.get("ai.onnx"))
    if version != wanted[0]:
        raise ExportError(f"wrote operator set {version}, not {wanted[0]}")


def _check_litert(path: Path, options: Mapping[str, Any]) -> None:
    wanted = options.get("quantize")
    if wanted is None:
        return
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(path.read_bytes(), 0))
    kind = {"float16": schema.TensorType.FLOAT16, "int8": schema.TensorType.INT8}[wanted]
    if not any(tensor.type == kind for graph in model.subgraphs for tensor in graph.tensors):
        raise ExportError(f"wrote a file in which no tensor is {wanted}, so nothing was quantized")


def _check_saved_model(path: Path, options: Mapping[str, Any]) -> None:
    # Names of signatures stand in the file as they are; reading all of it would take TensorFlow.
    content = (path / "saved_model.pb").read_bytes()
    lost = [name for name in options.get("endpoints") or {} if str(name).encode() not in content]
    if lost:
        raise ExportError(f"wrote a saved_model without the endpoints {', '.join(lost)}")


CHECKS = {"onnx": _check_onnx, "litert": _check_litert, "saved_model": _check_saved_model}

"""ONNX from torch, by its exporter on torch.export and by the older one on its tracer."""

from __future__ import annotations

import io
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unikeras.export._needs import lacking
from unikeras.export._quiet import quiet
from unikeras.export._signature import Signature
from unikeras.export.routes import _onnx_file
from unikeras.export.routes._base import Route


class _TorchOnnx(Route):
    """`torch.onnx.export` of the model as a module of flat tensors."""

    formats = ("onnx",)
    backends = ("torch",)

    def missing(self, format: str) -> str | None:
        """Say which of the route's packages is absent."""
        torch, *others = self.packages
        return lacking("writing onnx through torch", {"torch": [torch], "onnx": others})

    def write(
        self, model: Any, path: Path, format: str, signature: Signature, metadata: Mapping[str, Any]
    ) -> None:
        """Export and write the file."""
        from unikeras.export.routes._torch_module import FlatModule, example_tensors, frozen

        module = FlatModule(model, signature)
        names = {
            "input_names": [_onnx_file.INPUT.format(number) for number in range(len(signature.inputs))],
            "output_names": [_onnx_file.OUTPUT.format(number) for number in range(len(signature.outputs))],
        }
        with frozen(module):
            proto = self._export(module, example_tensors(signature), signature, names)
        _onnx_file.save(proto, path, signature, metadata)

    @abstractmethod
    def _export(self, module: Any, tensors: Any, signature: Signature, names: dict[str, list[str]]) -> Any:
        """Return the `onnx.ModelProto`, with these names."""


class TorchOnnx(_TorchOnnx):
    """The exporter on torch.export."""

    name = "torch.onnx"
    packages = ("torch", "onnx", "onnxscript")

    def _export(self, module: Any, tensors: Any, signature: Signature, names: dict[str, list[str]]) -> Any:
        import torch

        batch = torch.export.Dim("batch")
        dynamic = [
            {axis: torch.export.Dim.DYNAMIC if axis else batch for axis in axes}
            for axes in _dynamic_axes(signature)
        ]
        with quiet(
            r"`isinstance\(treespec, LeafSpec\)` is deprecated",
            "# The axis name: ",  # several inputs share one batch axis
            loggers=["torch.onnx", "torch.fx"],
        ):
            # One entry in dynamic_shapes: FlatModule.forward takes `*tensors`.
            program = torch.onnx.export(
                module, tensors, dynamic_shapes=(tuple(dynamic),), dynamo=True, verbose=False, **names
            )
        return program.model_proto


class TorchTraceOnnx(_TorchOnnx):
    """The older exporter: it promotes types where the other one writes a graph that does not load."""

    name = "torch.onnx by tracing"
    packages = ("torch", "onnx")

    def _export(self, module: Any, tensors: Any, signature: Signature, names: dict[str, list[str]]) -> Any:
        import onnx
        import torch

        file = io.BytesIO()
        dynamic = dict(zip(names["input_names"], _dynamic_axes(signature), strict=True))
        chatter = ("You are using the legacy", "The feature will be removed", "`torch.jit")
        with quiet(*chatter, categories=[torch.jit.TracerWarning]):
            torch.onnx.export(module, tensors, file, dynamic_axes=dynamic, dynamo=False, **names)
        return onnx.load_from_string(file.getvalue())


def _dynamic_axes(signature: Signature) -> list[dict[int, str]]:
    return [
        {axis: f"axis_{axis}" for axis, size in enumerate(spec.shape or ()) if size is None}
        for spec in signature.inputs
    ]

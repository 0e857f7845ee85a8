"""ONNX from torch, by its exporter on torch.export and by the older one on its tracer."""

from __future__ import annotations

import io
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unikeras._base.library_warnings import EXPORTED_PROGRAM, ignore_warnings
from unikeras._specs.signature import Signature
from unikeras.export.request.needs import describe_missing
from unikeras.export.writers import _onnx_file
from unikeras.export.writers.writer import Writer, WriteRequest


class _TorchOnnx(Writer):
    """`torch.onnx.export` of the model as a module of flat tensors."""

    formats = ("onnx",)
    backends = ("torch",)

    def missing(self, format: str) -> str | None:
        """Say which of the writer's packages is absent."""
        torch, *others = self.packages
        return describe_missing("writing onnx through torch", {"torch": [torch], "onnx": others})

    def write(self, model: Any, path: Path, request: WriteRequest) -> None:
        """Export and write the file."""
        from unikeras.export.writers._torch_module import example_tensors, frozen, of_keras

        module = of_keras(model, request.signature)
        with frozen(module):
            self.write_onnx(module, example_tensors(request.signature), path, request)

    def write_onnx(self, module: Any, tensors: tuple[Any, ...], path: Path, request: WriteRequest) -> None:
        """Convert a module of flat tensors and write the file."""
        proto = self._convert(module, tensors, request.signature, request.options)
        _onnx_file.save(proto, path, request.signature, request.metadata)

    @staticmethod
    @abstractmethod
    def _convert(module: Any, tensors: Any, signature: Signature, options: Mapping[str, Any]) -> Any:
        """Return the `onnx.ModelProto` of a module of flat tensors, named as `_onnx_file.save` expects."""


class TorchOnnx(_TorchOnnx):
    """The exporter on torch.export."""

    name = "torch.onnx"
    packages = ("torch", "onnx", "onnxscript")
    options = (
        "opset",
        "opset_version",
        "artifacts_dir",
        "custom_translation_table",
        "dump_exported_program",
        "keep_initializers_as_inputs",
        "optimize",
        "profile",
        "report",
        "verbose",
    )

    @staticmethod
    def _convert(module: Any, tensors: Any, signature: Signature, options: Mapping[str, Any]) -> Any:
        """Convert through an exported program."""
        import torch

        from unikeras.export.writers._torch_module import dynamic_shapes

        settings = {**_names(signature), "dynamo": True, "verbose": False, **_renamed(options)}
        with ignore_warnings(
            *EXPORTED_PROGRAM,
            "# The axis name: ",  # several inputs share one batch axis
            loggers=["torch.onnx", "torch.fx", "onnxscript"],
        ):
            # One entry in dynamic_shapes: the module's forward takes `*tensors`. torch.export calls the
            # length of an LSTM constant, but its operator in ONNX takes any; the verification sees what does not.
            shapes = (dynamic_shapes(signature, strictly=False),)
            program = torch.onnx.export(module, tensors, dynamic_shapes=shapes, **settings)
        return program.model_proto


class TorchTraceOnnx(_TorchOnnx):
    """The older exporter: it promotes types where the other one writes a graph that does not load."""

    name = "torch.onnx by tracing"
    packages = ("torch", "onnx")
    options = (
        "opset",
        "opset_version",
        "autograd_inlining",
        "custom_opsets",
        "do_constant_folding",
        "export_modules_as_functions",
        "export_params",
        "keep_initializers_as_inputs",
        "operator_export_type",
        "training",
        "verbose",
    )

    @staticmethod
    def _convert(module: Any, tensors: Any, signature: Signature, options: Mapping[str, Any]) -> Any:
        """Convert by tracing."""
        import onnx
        import torch

        file, settings = io.BytesIO(), {**_names(signature), "dynamo": False, **_renamed(options)}
        axes = [spec.dynamic for spec in signature.inputs]
        dynamic = dict(zip(settings["input_names"], axes, strict=True))
        chatter = (
            "You are using the legacy",
            "The feature will be removed",
            "`torch.jit",
            "Exporting a model to ONNX with a batch_size other than 1",  # initial states follow the batch here
        )
        with ignore_warnings(*chatter, categories=[torch.jit.TracerWarning]):
            torch.onnx.export(module, tensors, file, dynamic_axes=dynamic, **settings)
        return onnx.load_from_string(file.getvalue())


def _renamed(options: Mapping[str, Any]) -> dict[str, Any]:
    return {"opset_version" if name == "opset" else name: value for name, value in options.items()}


def _names(signature: Signature) -> dict[str, Any]:
    return {
        "input_names": [_onnx_file.INPUT.format(number) for number in range(len(signature.inputs))],
        "output_names": [_onnx_file.OUTPUT.format(number) for number in range(len(signature.outputs))],
    }

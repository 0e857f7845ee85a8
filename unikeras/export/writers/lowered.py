"""TorchScript, .pt2 and ONNX of a model's counterpart in torch's own layers, in this process, from any backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unikeras import backends
from unikeras._keras.samples import example
from unikeras._specs.signature import Signature
from unikeras._specs.structure import put_together
from unikeras.export.readers.torch_tensors import to_tensor
from unikeras.export.request.needs import describe_missing
from unikeras.export.writers._float32 import in_float32
from unikeras.export.writers.torch_jit import TorchScriptTrace, write_traced
from unikeras.export.writers.torch_onnx import TorchOnnx, TorchTraceOnnx
from unikeras.export.writers.torch_pt2 import TorchExport, write_program
from unikeras.export.writers.writer import Writer, WriteRequest


class Lowered(Writer):
    """The lowered model, traced to TorchScript or exported to .pt2."""

    name = "torch lowering"
    formats: tuple[str, ...] = ("torchscript", "pt2")
    backends = tuple(backends.names())
    packages: tuple[str, ...] = ("torch",)
    options: tuple[str, ...] = (*TorchExport.options, *TorchScriptTrace.options)
    crosses_backends = False  # it reads the weights as numpy arrays, and does the same under each backend

    def missing(self, format: str) -> str | None:
        """Say whether torch is absent."""
        return describe_missing(f"writing {format}", {"torch": ["torch"]})

    def write(self, model: Any, path: Path, request: WriteRequest) -> str | None:
        """Lower and write the file."""
        # torch.export takes the number of steps of torch's own recurrent layers for a constant.
        scan = request.format == "pt2" and any(
            axis for spec in request.signature.inputs for axis in spec.dynamic
        )
        module, tensors = lower(model, request.signature, "scan" if scan else "kernel")
        write = write_program if request.format == "pt2" else write_traced
        write(module, tensors, path, request)
        return None


class LoweredOnnx(Lowered):
    """The lowered model as ONNX, with one operator for a recurrent layer whatever its length.

    Args:
        exporter: the way from a torch module to ONNX.
    """

    formats = ("onnx",)

    def __init__(self, exporter: TorchOnnx | TorchTraceOnnx) -> None:
        self.name = exporter.name.replace("torch.onnx", "torch lowering")
        self.packages = exporter.packages
        self.options = exporter.options
        self._exporter = exporter

    def missing(self, format: str) -> str | None:
        """Say which of the exporter's packages is absent."""
        return self._exporter.missing(format)

    def write(self, model: Any, path: Path, request: WriteRequest) -> str | None:
        """Lower and write the file; in float32 where the model computes in bfloat16."""
        import torch

        # ONNX has convolutions and pooling of bfloat16 on paper at best; onnxruntime runs neither on a CPU.
        coarse = any(layer.compute_dtype == "bfloat16" for layer in model._flatten_layers())
        module, tensors = lower(in_float32(model) if coarse else model, request.signature, "kernel")
        with torch.no_grad():
            self._exporter.write_onnx(module, tensors, path, request)
        return "computes in float32, because few operators take bfloat16" if coarse else None


def lower(model: Any, signature: Signature, recurrence: str) -> tuple[Any, tuple[Any, ...]]:
    """Return a model as a torch module of the signature's flat tensors, and tensors to trace it with.

    Args:
        model: a Keras model, on any backend.
        signature: what the module takes and gives.
        recurrence: how recurrent layers are written: `"kernel"` or `"scan"`.

    Raises:
        CannotLower: parts of the model have no counterpart among torch's layers.
    """
    import keras
    import torch

    from unikeras import lowering
    from unikeras.export.writers._torch_module import FlatModule

    dtypes = [getattr(torch, str(spec.dtype)) for spec in signature.outputs]
    # A lowered module takes and gives tensors in Keras' order, which sorts dictionaries.
    places = keras.tree.flatten(put_together(signature.arguments, range(len(signature.inputs))))
    results = keras.tree.flatten(put_together(signature.results, range(len(signature.outputs))))

    def compute(module: Any, tensors: Any) -> list[Any]:
        outputs = module(*(tensors[place] for place in places))
        ordered = dict(zip(results, outputs if isinstance(outputs, tuple) else (outputs,), strict=True))
        return [ordered[number].to(dtype) for number, dtype in enumerate(dtypes)]

    lowered = lowering.to_torch(model, recurrence=recurrence).requires_grad_(False)
    tensors = tuple(to_tensor(array) for array in example(signature))
    return FlatModule(lowered, compute).eval(), tensors

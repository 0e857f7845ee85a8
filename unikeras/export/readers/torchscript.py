"""TorchScript files, in torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unikeras._base.library_warnings import ignore_warnings
from unikeras._keras.samples import Array
from unikeras._specs.signature import Signature, TensorSpec
from unikeras.export._metadata import FILE
from unikeras.export.readers.artifact import Artifact
from unikeras.export.readers.torch_tensors import to_numpy, to_tensor
from unikeras.export.request.needs import describe_missing


class TorchScriptArtifact(Artifact):
    """A scripted or traced module, on the CPU."""

    format = "torchscript"
    worker = "torch"
    runs_code = True
    names = "positions"
    magic = (0, b"PK\x03\x04")
    modules = ("torch",)

    @classmethod
    def missing(cls) -> str | None:
        """Say whether torch is absent."""
        return describe_missing("running torchscript", {"torch": ["torch"]})

    def __init__(self, path: Path) -> None:
        import torch

        extra = {FILE: ""}
        with ignore_warnings("`torch.jit.load` is"):
            self._module = torch.jit.load(str(path), map_location="cpu", _extra_files=extra).eval()
        self._read(extra[FILE] or None, _of_schema(self._module.forward.schema))

    def run(self, inputs: list[Array]) -> Any:
        """Call the module without gradients."""
        import torch

        with torch.no_grad():
            outputs = self._module(*(to_tensor(array) for array in inputs))
        outputs = to_numpy(outputs)
        return [outputs] if self.signature.outputs and not isinstance(outputs, list) else outputs


def _of_schema(schema: Any) -> Signature:
    """Return what a module that something else made says of itself: its parameters' names."""
    inputs = tuple(TensorSpec(argument.name, None, None) for argument in schema.arguments[1:])
    return Signature(inputs, (), list(range(len(inputs))), [])

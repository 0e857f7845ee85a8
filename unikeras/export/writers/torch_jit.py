"""TorchScript by tracing the Keras model under the torch backend."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from unikeras._base.library_warnings import ignore_warnings
from unikeras.export._metadata import FILE, dumps
from unikeras.export.request.needs import describe_missing
from unikeras.export.writers.writer import Writer, WriteRequest

# The verification is the check: at other sizes than the traced ones.
CHECKS = {"check_trace": False, "strict": False}


class TorchScriptTrace(Writer):
    """`torch.jit.trace`: the artifact holds operations and weights, and needs no Keras to run."""

    name = "torch.jit.trace"
    formats = ("torchscript",)
    backends = ("torch",)
    packages = ("torch",)
    options = ("check_inputs", "check_tolerance", "check_trace", "optimize", "strict")

    def missing(self, format: str) -> str | None:
        """Say whether torch is absent."""
        return describe_missing("writing torchscript", {"torch": ["torch"]})

    def write(self, model: Any, path: Path, request: WriteRequest) -> None:
        """Trace and write the file."""
        from unikeras.export.writers._torch_module import example_tensors, frozen, of_keras

        module = of_keras(model, request.signature)
        with frozen(module):
            write_traced(module, example_tensors(request.signature), path, request)


def write_traced(module: Any, tensors: tuple[Any, ...], path: Path, request: WriteRequest) -> None:
    """Trace a module of flat tensors and write the file."""
    import torch

    from unikeras.export.writers._torch_module import with_parameters

    named = with_parameters(module, request.signature.identifiers)
    # Keras' shape arithmetic converts sizes to Python numbers; the verification sees where that froze one.
    with ignore_warnings("`torch.jit", categories=[torch.jit.TracerWarning]):
        traced = torch.jit.trace(named, tensors, **{**CHECKS, **request.options})
        buffer = io.BytesIO()
        torch.jit.save(traced, buffer, _extra_files={FILE: dumps(request.metadata)})
    # Not by torch itself: where the disk is full, its writer aborts the process.
    path.write_bytes(buffer.getbuffer())

""".pt2 by `torch.export`, of the Keras model under the torch backend."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unikeras._base.library_warnings import EXPORTED_PROGRAM, ignore_warnings
from unikeras._specs.signature import Signature
from unikeras.export._metadata import FILE, dumps
from unikeras.export.request.needs import describe_missing
from unikeras.export.writers.writer import Writer, WriteRequest


class TorchExport(Writer):
    """`torch.export` of the model as a module of flat tensors: operations and weights, no code."""

    name = "torch.export"
    formats = ("pt2",)
    backends = ("torch",)
    packages = ("torch",)
    options = ("strict", "preserve_module_call_signature", "prefer_deferred_runtime_asserts_over_guards")

    def missing(self, format: str) -> str | None:
        """Say whether torch is absent."""
        return describe_missing("writing pt2", {"torch": ["torch"]})

    def write(self, model: Any, path: Path, request: WriteRequest) -> None:
        """Export and write the file."""
        from unikeras.export.writers._torch_module import example_tensors, frozen, of_keras

        module = of_keras(model, request.signature)
        with frozen(module):
            write_program(module, example_tensors(request.signature), path, request)


def write_program(module: Any, tensors: tuple[Any, ...], path: Path, request: WriteRequest) -> None:
    """Export a module of flat tensors and write the archive."""
    import torch
    import torch.fx.experimental._config

    from unikeras.export.writers._torch_module import with_parameters

    named = with_parameters(module, request.signature.identifiers)
    with torch.fx.experimental._config.patch(backed_size_oblivious=request.any_size):
        program = _export(named, tensors, request.signature, request.options)
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={FILE: dumps(request.metadata)})
    path.write_bytes(buffer.getbuffer())


def _export(module: Any, tensors: tuple[Any, ...], signature: Signature, options: Mapping[str, Any]) -> Any:
    import torch

    from unikeras.export.writers._torch_module import dynamic_shapes

    settings = {"dynamic_shapes": dynamic_shapes(signature, strictly=True), "strict": False, **options}
    with ignore_warnings(*EXPORTED_PROGRAM, loggers=["torch.export", "torch.fx"]):
        try:
            program = torch.export.export(module, tensors, **settings)
        except Exception:
            # What failed here is remembered of torch's scan operator: the next export would take its own
            # dynamic length for the one that this one was traced at.
            torch._dynamo.reset()
            raise
    # Where each operation came from: paths of this machine, which an artifact has no use for.
    for graph in program.graph_module.modules():
        for node in getattr(getattr(graph, "graph", None), "nodes", ()):
            node.meta.pop("stack_trace", None)
    return program

""".pt2 archives, in torch."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from unikeras._base.library_warnings import EXPORTED_PROGRAM, ignore_warnings
from unikeras._keras.samples import Array
from unikeras._specs.signature import TensorSpec
from unikeras.export._metadata import FILE
from unikeras.export.readers import _pt2_archive
from unikeras.export.readers.artifact import Artifact, foreign_signature
from unikeras.export.readers.torch_tensors import to_numpy, to_tensor
from unikeras.export.request.needs import describe_missing


class Pt2Artifact(Artifact):
    """An exported program, on the CPU.

    `torch.export.load` unpickles and evaluates what it finds; here the archive is looked through first,
    and one that needs either is refused.
    """

    format = "pt2"
    worker = "torch"
    names = "positions"
    magic = (0, b"PK\x03\x04")
    modules = ("torch", "torch.export.pt2_archive._package")

    @classmethod
    def missing(cls) -> str | None:
        """Say whether torch is absent."""
        return describe_missing("running pt2", {"torch": ["torch"]})

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        _pt2_archive.check(content)
        # Not torch.export.load: where this fails it goes on to an older kind of archive, a pickle.
        from torch.export.pt2_archive._package import load_pt2

        with ignore_warnings(*EXPORTED_PROGRAM):
            archive = load_pt2(io.BytesIO(content))
            program = archive.exported_programs["model"]
            self._module = program.module()
        self._read(archive.extra_files.get(FILE), _declared(program))

    def run(self, inputs: list[Array]) -> Any:
        """Call the program without gradients."""
        import torch

        with torch.no_grad(), ignore_warnings(*EXPORTED_PROGRAM):
            outputs = to_numpy(self._module(*(to_tensor(array) for array in inputs)))
        return [outputs] if self.signature.outputs and not isinstance(outputs, list) else outputs


def _declared(program: Any) -> Any:
    """Return the signature of a program that something else made, where it takes tensors one by one."""
    placeholders = {node.name: node.meta.get("val") for node in program.graph.nodes}
    inputs = [_spec(name, placeholders[name]) for name in program.graph_signature.user_inputs]
    return foreign_signature(inputs, [])


def _spec(name: str, value: Any) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) else None for size in value.shape)
    return TensorSpec(name, shape, str(value.dtype).removeprefix("torch."))

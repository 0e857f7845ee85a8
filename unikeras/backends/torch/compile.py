"""Functions on PyTorch: traced into one graph of ATen operators, which is run without Python and without autograd."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch

from unikeras.backends import variable_reads
from unikeras.backends._contract import Compiler, Program, TensorFunction, TraceFault
from unikeras.backends.torch import _faults
from unikeras.backends.torch._levels import inside_transform


class TorchCompiler(Compiler):
    """One graph for each kind of call; under Inductor where that is asked for."""

    dynamic_axes = True
    falls_back = True

    def compile(
        self,
        f: TensorFunction,
        shapes: Sequence[tuple[int | None, ...]],
        dtypes: Sequence[Any],
        jit_compile: bool | str,
        donate: bool = True,
        sizes: Sequence[tuple[int, ...]] | None = None,
    ) -> Program:
        from unikeras.backends.torch._program import compile_program

        return compile_program(f, shapes, dtypes, sizes, jit_compile)

    def is_recorded(self, tensors: Sequence[Any]) -> bool:
        # A graph lies below autograd, which would see nothing of what is computed in it.
        if inside_transform() or variable_reads.tapes():
            return True
        return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)

    def prepare(self) -> None:
        from unikeras._keras.scopes import is_recording
        from unikeras.backends.torch import _draws

        _draws.install(is_recording)

    def disable_compile(self) -> AbstractContextManager[None]:
        return torch.compiler.set_stance("force_eager")

    def noting_layers(self) -> AbstractContextManager[None]:
        from unikeras.backends.torch import _layer_scopes

        return _layer_scopes.noting_layers()

    def is_tracing(self) -> bool:
        from keras.src.backend import in_stateless_scope

        return bool(in_stateless_scope()) or torch.compiler.is_compiling()

    def own(self, variables: Sequence[Any]) -> None:
        from unikeras.backends.torch import _tracing

        _tracing.own(variables)

    def trace_fault(self, error: BaseException) -> TraceFault | None:
        return _faults.fault(error)

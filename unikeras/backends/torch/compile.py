"""Functions on PyTorch: they run as Python, or under torch.compile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch

from unikeras.backends._contract import Compiler, Program, TensorFunction, TraceFault


class TorchCompiler(Compiler):
    """The function itself, or `torch.compile` where it is asked for."""

    dynamic_axes = False

    def eager(self, f: Callable[..., Any], jit_compile: bool | str) -> Callable[..., Any]:
        # Keras' optimizers and metrics break torch.compile's graph at every variable, and the many small
        # graphs cost more than they save: "auto" runs the function eagerly.
        return torch.compile(f) if jit_compile is True else f

    def compile(
        self,
        f: TensorFunction,
        shapes: Sequence[tuple[int | None, ...]],
        dtypes: Sequence[Any],
        jit_compile: bool | str,
        donate: bool = True,
    ) -> Program:
        # Nothing is traced ahead of a call, so it is not known what the function writes.
        return Program(self.eager(f, jit_compile), writes=True)

    def disable_compile(self) -> AbstractContextManager[None]:
        return torch.compiler.set_stance("force_eager")

    def is_tracing(self) -> bool:
        return torch.compiler.is_compiling()

    def trace_fault(self, error: BaseException) -> TraceFault | None:
        return "backward" if "does not require grad and does not have a grad_fn" in str(error) else None

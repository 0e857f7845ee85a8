"""The PyTorch backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from unikeras.backends._base import Backend, Tape


class TorchBackend(Backend):
    """PyTorch: a tape over autograd's graph; eager functions, or torch.compile."""

    name = "torch"

    def version(self) -> str:
        return str(torch.__version__)

    def devices(self) -> list[str]:
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        if accelerator is None:
            return ["cpu:0"]
        return ["cpu:0", *(f"{accelerator.type}:{i}" for i in range(torch.accelerator.device_count()))]

    def is_tensor(self, value: Any) -> bool:
        return isinstance(value, torch.Tensor)

    def to_numpy(self, tensor: Any) -> np.ndarray[Any, Any]:
        tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
        if tensor.dtype == torch.bfloat16:
            # numpy has no bfloat16 of its own; ml_dtypes, which Keras depends on, brings one.
            import ml_dtypes

            return tensor.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
        return tensor.numpy()

    def synchronize(self, *values: Any) -> None:
        if torch.accelerator.is_available():
            torch.accelerator.synchronize()

    def tape(self, persistent: bool, watch_accessed_variables: bool) -> Tape:
        from unikeras.backends.torch._tape import TorchTape

        return TorchTape(persistent, watch_accessed_variables)

    def compile(self, f: Callable[..., Any], jit_compile: bool | str) -> Callable[..., Any]:
        from unikeras.backends.torch._compile import compile_function

        return compile_function(f, jit_compile)


def create() -> TorchBackend:
    """Return the backend; the registry calls this once."""
    return TorchBackend()

"""The PyTorch backend."""

from __future__ import annotations

import torch

from unikeras.backends._contract import Backend
from unikeras.backends.torch.autodiff import TorchAutodiff
from unikeras.backends.torch.compile import TorchCompiler
from unikeras.backends.torch.kernels import TorchKernels
from unikeras.backends.torch.tensors import TorchTensors
from unikeras.backends.torch.trainer import TorchTrainer
from unikeras.backends.torch.words import TorchWords


class TorchBackend(
    TorchTensors, TorchAutodiff, TorchCompiler, TorchTrainer, TorchKernels, TorchWords, Backend
):
    """PyTorch: a tape over autograd's graph; eager functions, or torch.compile."""

    name = "torch"

    def version(self) -> str:
        return str(torch.__version__)


def create() -> TorchBackend:
    """Return the backend; the registry calls this once."""
    return TorchBackend()

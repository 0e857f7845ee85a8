"""The JAX backend."""

from __future__ import annotations

import jax

from unikeras.backends._contract import Backend
from unikeras.backends.jax.autodiff import JaxAutodiff
from unikeras.backends.jax.compile import JaxCompiler
from unikeras.backends.jax.kernels import JaxKernels
from unikeras.backends.jax.tensors import JaxTensors
from unikeras.backends.jax.trainer import JaxTrainer
from unikeras.backends.jax.words import JaxWords


class JaxBackend(JaxTensors, JaxAutodiff, JaxCompiler, JaxTrainer, JaxKernels, JaxWords, Backend):
    """JAX: a tape that is a trace of its own, and jit with the state donated."""

    name = "jax"

    def version(self) -> str:
        return str(jax.__version__)


def create() -> JaxBackend:
    """Return the backend; the registry calls this once."""
    return JaxBackend()

"""The TensorFlow backend."""

from __future__ import annotations

import tensorflow as tf

from unikeras.backends._contract import Backend
from unikeras.backends.tensorflow.autodiff import TensorflowAutodiff
from unikeras.backends.tensorflow.compile import TensorflowCompiler
from unikeras.backends.tensorflow.kernels import TensorflowKernels
from unikeras.backends.tensorflow.tensors import TensorflowTensors
from unikeras.backends.tensorflow.trainer import TensorflowTrainer
from unikeras.backends.tensorflow.words import TensorflowWords


class TensorflowBackend(
    TensorflowTensors,
    TensorflowAutodiff,
    TensorflowCompiler,
    TensorflowTrainer,
    TensorflowKernels,
    TensorflowWords,
    Backend,
):
    """TensorFlow: its own tape, and tf.function."""

    name = "tensorflow"

    def version(self) -> str:
        return str(tf.__version__)


def create() -> TensorflowBackend:
    """Return the backend; the registry calls this once."""
    return TensorflowBackend()

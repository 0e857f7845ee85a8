"""The TensorFlow backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from unikeras.backends._base import Backend, Tape


class TensorflowBackend(Backend):
    """TensorFlow: its own tape, and tf.function."""

    name = "tensorflow"

    def version(self) -> str:
        return str(tf.__version__)

    def devices(self) -> list[str]:
        return [device.name.removeprefix("/device:").lower() for device in tf.config.list_logical_devices()]

    def is_tensor(self, value: Any) -> bool:
        return isinstance(value, tf.Tensor | tf.Variable)

    def to_numpy(self, tensor: Any) -> np.ndarray[Any, Any]:
        return np.asarray(tensor.numpy())

    def synchronize(self, *values: Any) -> None:
        if tf.config.list_physical_devices("GPU"):
            # A stream has no end to wait for; a value on the host does.
            for value in values:
                value.numpy()

    def tape(self, persistent: bool, watch_accessed_variables: bool) -> Tape:
        from unikeras.backends.tensorflow._tape import TensorflowTape

        return TensorflowTape(persistent, watch_accessed_variables)

    def compile(self, f: Callable[..., Any], jit_compile: bool | str) -> Callable[..., Any]:
        # XLA on the CPU is slower for most models than TensorFlow's own kernels, and refuses some
        # operations; "auto" leaves the choice to the functions that ask for it by name.
        xla = jit_compile if isinstance(jit_compile, bool) else None
        # Without autograph a Python `if` on a tensor is an error here as it is on JAX, and a traceback
        # shows the user's own lines.
        return tf.function(f, jit_compile=xla, autograph=False, reduce_retracing=True)


def create() -> TensorflowBackend:
    """Return the backend; the registry calls this once."""
    return TensorflowBackend()

"""TensorFlow's tensors and devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from unikeras.backends._contract import Composite, Tensors

_COMPOSITES = (tf.SparseTensor, tf.RaggedTensor, tf.IndexedSlices, tf.experimental.ExtensionType)


class TensorflowTensors(Tensors):
    """`tf.Tensor`, `tf.Variable`, composite tensors, and what `tf.nest` takes apart."""

    resize_rounds_integers = False

    def devices(self) -> list[str]:
        return [_name(device.name) for device in tf.config.list_logical_devices()]

    def device_of(self, tensor: Any) -> str | None:
        return _name(tensor.device) if tensor.device else None

    def peak_memory(self, device: str) -> int | None:
        if device.startswith("cpu"):
            return None
        return int(tf.config.experimental.get_memory_info(device.upper())["peak"])

    def is_tensor(self, value: Any) -> bool:
        return isinstance(value, tf.Tensor | tf.Variable)

    def is_symbolic(self, value: Any) -> bool:
        return bool(tf.is_symbolic_tensor(value))

    def flatten_composite(self, value: Any) -> tuple[Composite, list[Any]] | None:
        if not isinstance(value, _COMPOSITES):
            return None
        parts = tf.nest.flatten(value, expand_composites=True)
        return Composite(tf.type_spec_from_value(value), len(parts), _join), parts

    def children(self, value: Any) -> tuple[Composite, list[Any]] | None:
        cls = type(value)
        if not hasattr(cls, "__tf_flatten__"):  # what tf.nest asks for
            return None
        kind, children = value.__tf_flatten__()
        return Composite((cls, kind), len(children), _unflatten), list(children)

    def to_native(self, array: Any) -> Any:
        return tf.convert_to_tensor(array)

    def to_numpy(self, tensor: Any) -> np.ndarray[Any, Any]:
        return np.asarray(tensor.numpy())

    def synchronize(self, *values: Any) -> None:
        if tf.config.list_physical_devices("GPU"):
            # A stream has no end to wait for; a value on the host does.
            for value in values:
                value.numpy()


def _name(device: str) -> str:
    """Return the short name of `/device:CPU:0`, or of one with a job and a task before that."""
    return device.rpartition("/device:")[2].lower()


def _unflatten(kind: tuple[Any, Any], children: Sequence[Any]) -> Any:
    return kind[0].__tf_unflatten__(kind[1], tuple(children))


def _join(spec: Any, parts: Sequence[Any]) -> Any:
    return tf.nest.pack_sequence_as(spec, list(parts), expand_composites=True)

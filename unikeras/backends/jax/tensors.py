"""JAX's arrays and devices."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.experimental.sparse import JAXSparse

from unikeras.backends._contract import Composite, Tensors


class JaxTensors(Tensors):
    """`jax.Array`, and pytrees."""

    def devices(self) -> list[str]:
        devices = jax.devices()
        if all(device.platform != "cpu" for device in devices):
            devices = [*jax.devices("cpu"), *devices]
        return [_name(device) for device in devices]

    def device_of(self, tensor: Any) -> str | None:
        devices = tensor.devices()
        return _name(*devices) if len(devices) == 1 else None

    def peak_memory(self, device: str) -> int | None:
        kind, _, number = device.partition(":")
        found = next(one for one in jax.devices(kind) if one.id == int(number))
        return (found.memory_stats() or {}).get("peak_bytes_in_use")

    def is_tensor(self, value: Any) -> bool:
        return isinstance(value, jax.Array)

    def is_symbolic(self, value: Any) -> bool:
        return isinstance(value, jax.core.Tracer)

    def flatten_composite(self, value: Any) -> tuple[Composite, list[Any]] | None:
        if not isinstance(value, JAXSparse):
            return None
        parts, kind = jax.tree.flatten(value)
        return Composite(kind, len(parts), jax.tree.unflatten), parts

    def children(self, value: Any) -> tuple[Composite, list[Any]] | None:
        if jax.tree_util.all_leaves([value]):
            return None
        children, kind = jax.tree.flatten(value, is_leaf=lambda part: part is not value)
        return Composite(kind, len(children), jax.tree.unflatten), children

    def to_native(self, array: Any) -> Any:
        return array

    def to_numpy(self, tensor: Any) -> np.ndarray[Any, Any]:
        return np.asarray(tensor)

    def synchronize(self, *values: Any) -> None:
        jax.block_until_ready(values)


def _name(device: jax.Device) -> str:
    return f"{device.platform}:{device.id}"

"""PyTorch's tensors and devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils import _pytree as pytree

from unikeras.backends._contract import Composite, Tensors


class TorchTensors(Tensors):
    """`torch.Tensor`, and what is registered with torch's pytree."""

    def devices(self) -> list[str]:
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        if accelerator is None:
            return ["cpu:0"]
        return ["cpu:0", *(_name(accelerator.type, i) for i in range(torch.accelerator.device_count()))]

    def device_of(self, tensor: Any) -> str | None:
        return _name(tensor.device.type, tensor.device.index or 0)

    def keras_device(self, name: str) -> str:
        # A tensor on "cpu" is copied to "cpu:0", which PyTorch takes for another device, and Keras asks for each time.
        return "cpu" if name == "cpu:0" else name

    def peak_memory(self, device: str) -> int | None:
        kind, _, number = device.partition(":")
        return torch.cuda.max_memory_allocated(int(number)) if kind == "gpu" else None

    def is_tensor(self, value: Any) -> bool:
        return isinstance(value, torch.Tensor)

    def is_symbolic(self, value: Any) -> bool:
        return isinstance(value, torch.Tensor) and (
            value.device.type == "meta" or isinstance(value, FakeTensor)
        )

    def children(self, value: Any) -> tuple[Composite, list[Any]] | None:
        node = pytree.SUPPORTED_NODES.get(type(value))
        if node is None:
            return None
        children, context = node.flatten_fn(value)
        return Composite((type(value), context), len(children), _join), list(children)

    def to_native(self, array: Any) -> Any:
        from keras import ops
        from keras.src.backend.torch.core import get_device

        if type(array) is np.ndarray and array.dtype.char in _AS_THEY_ARE:
            return torch.as_tensor(
                array, device=get_device()
            )  # what Keras does in the end, in a fifth of the time
        return ops.convert_to_tensor(array)

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


# Dtypes, as numpy writes them, that Keras leaves as they are: floats, complex and signed integers, uint8 and flags.
_AS_THEY_ARE = frozenset("efdFDbhilqB?")


def _name(kind: str, number: int) -> str:
    return f"{'gpu' if kind == 'cuda' else kind}:{number}"


def _join(kind: tuple[type, Any], parts: Sequence[Any]) -> Any:
    cls, context = kind
    return pytree.SUPPORTED_NODES[cls].unflatten_fn(list(parts), context)

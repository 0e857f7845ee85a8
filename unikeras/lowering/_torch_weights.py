"""Keras' weights as torch's, in the memory that numpy lends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

Arrange = Callable[[torch.Tensor], torch.Tensor]


def tensor(array: Any) -> torch.Tensor:
    """Return a Keras variable, or anything that numpy reads, as a tensor.

    The tensor borrows the array's memory where that may be written to.
    """
    import keras

    array = np.asarray(keras.ops.convert_to_numpy(array))
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    if array.dtype.name == "bfloat16":  # numpy's bfloat16 is not numpy's own, and unknown to torch
        return torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def dtype(name: str) -> torch.dtype:
    """Return torch's dtype of a Keras name."""
    return getattr(torch, name)


def weight(layer: Any, variable: Any, arrange: Arrange | None = None) -> torch.nn.Parameter | None:
    """Return a layer's variable as a parameter, or None where the layer has none.

    Args:
        layer: the layer, in whose compute dtype Keras uses the variable.
        variable: the variable, or None.
        arrange: moves its axes to torch's order.
    """
    if variable is None:
        return None
    value = tensor(variable)
    if value.is_floating_point():
        value = value.to(dtype(layer.compute_dtype))
    value = value if arrange is None else arrange(value)
    trainable = bool(getattr(variable, "trainable", False)) and value.is_floating_point()
    return torch.nn.Parameter(value, requires_grad=trainable)


def filled(module: torch.nn.Module, **tensors: torch.Tensor | None) -> torch.nn.Module:
    """Put parameters and buffers into a module that was made on the meta device."""
    for name, value in tensors.items():
        setattr(module, name, value)
    return module


def own_memory(module: torch.nn.Module) -> None:
    """Give every parameter and buffer memory of its own, packed."""
    for value in [*module.parameters(), *module.buffers()]:
        value.data = value.data.clone(memory_format=torch.contiguous_format)

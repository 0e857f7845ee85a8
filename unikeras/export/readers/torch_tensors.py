"""Between numpy and torch, bfloat16 included, which torch does not exchange with numpy by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from unikeras._keras.samples import Array
from unikeras._specs.signature import numpy_dtype


def to_tensor(array: Array) -> Any:
    """Return a tensor of its own memory on the CPU."""
    import torch

    if array.dtype == numpy_dtype("bfloat16"):
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(array.copy())


def to_numpy(value: Any) -> Any:
    """Return nested tensors as nested numpy arrays, tuples as lists."""
    import torch

    if isinstance(value, dict):
        return {key: to_numpy(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [to_numpy(inner) for inner in value]
    if not isinstance(value, torch.Tensor):
        return value
    if value.dtype == torch.bfloat16:
        return value.detach().view(torch.int16).numpy().view(numpy_dtype("bfloat16"))
    return value.detach().numpy()

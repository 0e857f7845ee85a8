"""Memory formats inside torch.func.vmap, which has no rule for them."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class AnyMemoryFormat(TorchFunctionMode):
    """A context in which asking for channels_last, as Keras' convolutions do for speed, asks for any format."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.Tensor.is_contiguous, torch.Tensor.contiguous):
            kwargs.pop("memory_format", None)
        return func(*args, **kwargs)

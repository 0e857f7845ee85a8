"""Indexing by a tensor of one number: PyTorch asks for the number, which a trace does not have."""

from __future__ import annotations

from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.overrides import TorchFunctionMode


class TensorIndices(TorchFunctionMode):
    """A context in which `x[i]` and `x[i] = y` for a tensor `i` of one integer are operators of the graph.

    `x.repeat_interleave(n)`, with which Keras reduces segments, takes the number of a tensor that was made of shapes.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.__getitem__ and _chooses_by_number(args[1]):
            return torch.ops.aten.index.Tensor(*_parts(args[0], args[1]))
        if func is torch.Tensor.__setitem__ and _chooses_by_number(args[1]):
            part, indices = _parts(args[0], args[1])
            value = torch.as_tensor(args[2], dtype=part.dtype, device=part.device)
            return torch.ops.aten.index_put_.default(part, indices, value)
        if func is torch.Tensor.repeat_interleave and len(args) > 1 and _is_number(args[1]):
            return func(
                args[0], int(args[1]), *args[2:], **(kwargs or {})
            )  # where the trace knows the number
        return func(*args, **(kwargs or {}))


def _chooses_by_number(index: Any) -> bool:
    entries = index if isinstance(index, tuple) else (index,)
    tensors = [entry for entry in entries if isinstance(entry, torch.Tensor)]
    return bool(tensors) and all(map(_is_number, tensors)) and all(map(_is_basic, entries))


def _is_number(entry: Any) -> bool:
    return isinstance(entry, FakeTensor) and entry.ndim == 0 and entry.dtype in _INTEGERS


def _is_basic(entry: Any) -> bool:
    return entry is None or entry is Ellipsis or isinstance(entry, int | slice | torch.Tensor)


_INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64)


def _parts(tensor: torch.Tensor, index: Any) -> tuple[torch.Tensor, list[torch.Tensor | None]]:
    """Return what slices and Python's numbers select, and for each of its axes the tensor that selects from it."""
    entries = list(index) if isinstance(index, tuple) else [index]
    place = next((i for i, entry in enumerate(entries) if entry is Ellipsis), None)
    if place is not None:
        used = sum(entry is not None and entry is not Ellipsis for entry in entries)
        entries[place : place + 1] = [slice(None)] * (tensor.ndim - used)
    part = tensor[tuple(slice(None) if _is_number(entry) else entry for entry in entries)]
    kept = [entry for entry in entries if not isinstance(entry, int)]
    return part, [entry.long() if _is_number(entry) else None for entry in kept]

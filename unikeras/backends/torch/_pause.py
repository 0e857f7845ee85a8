"""How one tape stops recording while another goes on: the way back is closed for it alone."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

_local = threading.local()


@contextlib.contextmanager
def answering(tape: Any) -> Iterator[None]:
    """Say, while autograd runs backward, for which tape it does."""
    before = getattr(_local, "tape", None)
    _local.tape = tape
    try:
        yield
    finally:
        _local.tape = before


class _Gate(torch.autograd.Function):
    """The identity, whose gradient is none while the tape that it is closed to answers."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, tape: Any) -> torch.Tensor:
        ctx.tape = tape
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return (None if getattr(_local, "tape", None) is ctx.tape else gradient), None


class _Closed(TorchFunctionMode):
    def __init__(self, tape: Any) -> None:
        super().__init__()
        self._tape = tape

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return pytree.tree_map_only(torch.Tensor, self._gate, func(*args, **(kwargs or {})))

    def _gate(self, tensor: torch.Tensor) -> torch.Tensor:
        node = tensor.grad_fn
        if node is None or (isinstance(node, _Gate._backward_cls) and node.tape is self._tape):
            return tensor
        return _Gate.apply(tensor, self._tape)


def closed_to(tape: Any) -> TorchFunctionMode:
    """Return a context whose operations are recorded, for every tape but this one."""
    return _Closed(tape)

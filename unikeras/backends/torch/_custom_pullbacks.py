"""A function with a pullback of its own, as a node in autograd's graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from unikeras.backends._contract import Pullback
from unikeras.backends.torch._levels import inside_transform
from unikeras.errors import TransformError


def custom_gradient(
    run: Callable[[Sequence[Any]], tuple[list[Any], Pullback]], inputs: Sequence[Any]
) -> list[Any]:
    """Run a function of flat tensors that brings its own pullback.

    Raises:
        TransformError: one of torch.func's transforms runs.
    """
    if inside_transform():
        raise TransformError(
            "uk.custom_gradient does not run inside uk.vmap, uk.jvp or uk.hvp on PyTorch: it is written for "
            "autograd, whose functions torch.func does not transform by itself; use a tape, or uk.grad of uk.grad"
        )
    # It runs where autograd records, so that what the pullback keeps can be differentiated again.
    outputs, pullback = run(inputs)
    detached = [output.detach() for output in outputs]
    return list(_OwnGradient.apply(pullback, len(outputs), *detached, *inputs))


class _OwnGradient(torch.autograd.Function):
    """Gives outputs a pullback to inputs that they were not computed from."""

    @staticmethod
    def forward(ctx: Any, pullback: Pullback, count: int, *tensors: Any) -> Any:
        ctx.pullback, ctx.count = pullback, count
        return tuple(tensor.view_as(tensor) for tensor in tensors[:count])

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        return (None, None, *[None] * ctx.count, *ctx.pullback(upstream))

"""Operators of our own, where torch takes a Python number that a trace has only as a tensor."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from keras.src.backend.torch import core
from keras.src.backend.torch.optimizers import torch_nadam
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.fx.experimental import proxy_tensor

from unikeras._keras.patched import held, patched


@torch.library.custom_op(
    "unikeras::foreach_add_scaled_",
    mutates_args={"tensors"},
    schema="(Tensor(a!)[] tensors, Tensor[] others, Tensor scale) -> ()",
)
def foreach_add_scaled_(tensors: list[torch.Tensor], others: list[torch.Tensor], scale: torch.Tensor) -> None:
    """Add scaled tensors to others in place, as `torch._foreach_add_(tensors, others, alpha=float(scale))` does."""
    torch._foreach_add_(tensors, others, alpha=scale.item())


@foreach_add_scaled_.register_fake
def _(tensors: list[torch.Tensor], others: list[torch.Tensor], scale: torch.Tensor) -> None:
    """Say that nothing is returned."""


@contextlib.contextmanager
def traceable_operators() -> Iterator[None]:
    """Let Keras compute with tensors in this block where it takes their numbers.

    SGD and Adadelta pass the learning rate as a number, Nadam a product of decays. What Keras computes of shapes in
    small tensors (`ops.size`, segments) is known while a function is traced.
    """
    with (
        patched(torch, "_foreach_add_", _taking_tensors),
        patched(torch_nadam.Nadam, "_parallel_update_step", _dividing_by_tensors),
        held(fake_tensor, "CONSTANT_NUMEL_LIMIT", _SHAPES),
        held(proxy_tensor, "CONSTANT_NUMEL_LIMIT", _SHAPES),
    ):
        yield


_SHAPES = 16  # axes of a shape that is a tensor; torch knows the numbers of tensors of one element only


def _dividing_by_tensors(own: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(own)
    def parallel_update_step(*args: Any, **kwargs: Any) -> Any:
        with patched(core, "convert_to_numpy", lambda _: lambda x: x):
            return own(*args, **kwargs)

    return parallel_update_step


def _taking_tensors(own: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(own)
    def foreach_add_(tensors: Any, others: Any, alpha: Any = 1, **options: Any) -> Any:
        if isinstance(alpha, FakeTensor):
            return torch.ops.unikeras.foreach_add_scaled_(tensors, others, alpha)
        return (
            own(tensors, others, alpha=alpha, **options)
            if isinstance(others, list | tuple)
            else own(tensors, others)
        )

    return foreach_add_

"""What a traced function may not do with tensors that are no Keras variables: PyTorch's own ways to train.

A graph has the values of Keras variables as inputs and outputs. A parameter of a `torch.nn.Module`, its `.grad` and the
state of a `torch.optim` optimizer are Python's: they would be used as they were when the function was traced, or hold
tensors of the trace ever after. A function that needs them runs as Python.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from unikeras._keras.patched import patched
from unikeras._keras.scopes import is_recording
from unikeras.backends.torch._faults import Untraceable


class TraceMode(FakeTensorMode):
    """Makes fake tensors; refuses to change tensors that are none, and to compute with those that are trained."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(not issubclass(kind, FakeTensor) for kind in types) or not types:
            _check(func, args, kwargs or {})
        return super().__torch_dispatch__(func, types, args, kwargs)


def _check(func: Any, args: Any, kwargs: Any) -> None:
    real = [x for x in pytree.tree_leaves((args, kwargs)) if _is_real(x)]
    if any(x.requires_grad for x in real):
        raise Untraceable(f"{func} computes with a tensor that requires grad and is no Keras variable")
    if real and func._schema.is_mutable:
        written = [
            value
            for argument, value in zip(func._schema.arguments, args, strict=False)
            if argument.alias_info is not None and argument.alias_info.is_write
        ]
        if any(map(_is_real, pytree.tree_leaves(written))):
            raise Untraceable(f"{func} changes a tensor that is no Keras variable")


def _is_real(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and not isinstance(value, FakeTensor)


@contextlib.contextmanager
def native_training_refused() -> Iterator[None]:
    """Refuse `backward()`, steps of `torch.optim` and new `.grad`s in this thread, before they change anything."""
    with patched(torch.autograd, "backward", _refusing_backward), _GradientsLeftAlone():
        hook = register_optimizer_step_pre_hook(_refuse_step)
        try:
            yield
        finally:
            hook.remove()


def _refusing_backward(own: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(own)
    def backward(*args: Any, **kwargs: Any) -> Any:
        raise Untraceable("backward() changes the .grad of parameters", "backward")

    return backward


def _refuse_step(optimizer: Any, args: Any, kwargs: Any) -> None:
    if is_recording():
        name = type(optimizer).__name__
        raise Untraceable(f"torch.optim.{name}.step() changes tensors that are no Keras variables")


class _GradientsLeftAlone(TorchFunctionMode):
    """A context in which no tensor of a trace becomes the `.grad` of another tensor."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func == _SET_GRADIENT and _is_real(args[0]) and isinstance(args[1], FakeTensor):
            raise Untraceable("it assigns to the .grad of a tensor that is no Keras variable")
        return func(*args, **(kwargs or {}))


_SET_GRADIENT = torch.Tensor.grad.__set__

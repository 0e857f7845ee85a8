"""Derivatives on PyTorch: a tape over autograd's graph, and torch.func's transforms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from unikeras._specs.graph_nodes import Graph
from unikeras.backends._contract import Autodiff, BackendTape, FlatFunction, Pullback, Vjp
from unikeras.backends.torch import _custom_pullbacks
from unikeras.backends.torch._faults import Untraceable
from unikeras.backends.torch._levels import inside_transform
from unikeras.errors import TransformError


class TorchAutodiff(Autodiff):
    """Autograd, `torch.func` and `torch.utils.checkpoint`."""

    def tape(self, persistent: bool, watch_accessed_variables: bool) -> BackendTape:
        from unikeras.backends.torch._tape import TorchTape

        return TorchTape(persistent, watch_accessed_variables)

    def no_grad(self) -> AbstractContextManager[None]:
        from unikeras.backends.torch._tape import no_grad

        return no_grad()

    def inference_mode(self) -> AbstractContextManager[None]:
        # Not torch.inference_mode: its tensors could not be used in a gradient afterwards.
        return torch.no_grad()

    def recorded_graph(self, tensor: Any) -> Graph | None:
        from unikeras.backends.torch._autograd_graph import autograd_graph

        return autograd_graph(tensor)

    def run_detached(self, run: Callable[[], Any], arguments: Sequence[Any]) -> Any:
        if any(isinstance(argument, torch.Tensor) and argument.requires_grad for argument in arguments):
            return run()
        with torch.no_grad():
            results = run()
        # A tape inside has recorded all the same, for itself.
        return pytree.tree_map_only(torch.Tensor, lambda x: x.detach() if x.requires_grad else x, results)

    def with_gradient_hook(self, tensor: Any, hook: Callable[[Any], None]) -> Any:
        if not tensor.requires_grad:
            return tensor
        same = tensor.view_as(tensor)
        same.register_hook(hook)
        return same

    def native_vjp(self) -> Vjp | None:
        # torch.func's transforms refuse requires_grad_ and autograd.grad inside them, and nest with torch.func.vjp.
        return _vjp if inside_transform() else None

    def jvp(
        self, f: FlatFunction, primals: Sequence[Any], tangents: Sequence[Any]
    ) -> tuple[list[Any], list[Any], list[Any]]:
        from unikeras._keras.scopes import is_recording

        outputs, pushed, others = torch.func.jvp(
            lambda *values: f(values), tuple(primals), tuple(tangents), has_aux=True
        )
        if is_recording() and any(
            one.device.type == "meta" != at.device.type for one, at in zip(pushed, primals, strict=False)
        ):
            raise Untraceable("torch.func.jvp loses the device of tangents in a trace", "operator")
        return outputs, pushed, others

    def custom_gradient(
        self, run: Callable[[Sequence[Any]], tuple[list[Any], Pullback]], inputs: Sequence[Any]
    ) -> list[Any]:
        return _custom_pullbacks.custom_gradient(run, inputs)

    def vmap(self, f: Callable[[Sequence[Any]], list[Any]], batched: Sequence[Any]) -> list[Any]:
        try:
            with _AnyMemoryFormat():
                return list(torch.func.vmap(lambda *elements: f(elements))(*batched))
        except RuntimeError as error:
            if "randomness" not in str(error) or isinstance(error, TransformError):
                raise
            raise TransformError(
                "vmap runs one function for many examples at once, and it draws random numbers; draw them outside "
                f"and pass them in, or pass training=False to the layer named here: {error}"
            ) from error

    def remat(self, f: Callable[[Sequence[Any]], list[Any]], tensors: Sequence[Any]) -> list[Any]:
        from unikeras.backends.torch import _remat

        return _remat.remat(f, tensors)


def _vjp(f: FlatFunction, primals: Sequence[Any]) -> tuple[list[Any], list[Any], Pullback]:
    outputs, pullback, others = torch.func.vjp(lambda *values: f(values), *primals, has_aux=True)
    return outputs, others, lambda weights: list(pullback(list(weights)))


class _AnyMemoryFormat(TorchFunctionMode):
    """A context in which asking for channels_last, as Keras' convolutions do for speed, asks for any format.

    torch.func.vmap has no rule for memory formats.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.Tensor.is_contiguous, torch.Tensor.contiguous):
            kwargs.pop("memory_format", None)
        return func(*args, **kwargs)

"""The PyTorch backend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from unikeras.backends._contract import (
    Backend,
    Composite,
    FlatFunction,
    KeptValue,
    Program,
    Pullback,
    Tape,
    TraceFault,
    Vjp,
)
from unikeras.backends.torch._levels import inside_transform
from unikeras.errors import TransformError


class TorchBackend(Backend):
    """PyTorch: a tape over autograd's graph; eager functions, or torch.compile."""

    name = "torch"
    free_axes = False
    recurrence_begins_with_state = False

    def version(self) -> str:
        return str(torch.__version__)

    def devices(self) -> list[str]:
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        if accelerator is None:
            return ["cpu:0"]
        return ["cpu:0", *(f"{accelerator.type}:{i}" for i in range(torch.accelerator.device_count()))]

    def is_tensor(self, value: Any) -> bool:
        return isinstance(value, torch.Tensor)

    def children(self, value: Any) -> tuple[Composite, list[Any]] | None:
        node = pytree.SUPPORTED_NODES.get(type(value))
        if node is None:
            return None
        children, context = node.flatten_fn(value)
        return Composite(
            context, len(children), lambda kind, parts: node.unflatten_fn(list(parts), kind)
        ), list(children)

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

    def tape(self, persistent: bool, watch_accessed_variables: bool) -> Tape:
        from unikeras.backends.torch._tape import TorchTape

        return TorchTape(persistent, watch_accessed_variables)

    def no_grad(self) -> AbstractContextManager[None]:
        from unikeras.backends.torch._tape import no_grad

        return no_grad()

    def evaluating(self) -> AbstractContextManager[None]:
        return torch.no_grad()

    def undifferentiated(self, run: Callable[[], Any], arguments: Sequence[Any]) -> Any:
        if any(isinstance(argument, torch.Tensor) and argument.requires_grad for argument in arguments):
            return run()
        with torch.no_grad():
            results = run()
        # A tape inside has recorded all the same, for itself.
        return pytree.tree_map_only(torch.Tensor, lambda x: x.detach() if x.requires_grad else x, results)

    def native_vjp(self) -> Vjp | None:
        # torch.func's transforms refuse requires_grad_ and autograd.grad inside them, and nest with torch.func.vjp.
        return _vjp if inside_transform() else None

    def jvp(
        self, f: FlatFunction, primals: Sequence[Any], tangents: Sequence[Any]
    ) -> tuple[list[Any], list[Any], list[Any]]:
        outputs, pushed, others = torch.func.jvp(
            lambda *values: f(values), tuple(primals), tuple(tangents), has_aux=True
        )
        return outputs, pushed, others

    def custom_gradient(
        self, run: Callable[[Sequence[Any]], tuple[list[Any], Pullback]], inputs: Sequence[Any]
    ) -> list[Any]:
        if torch._C._functorch.peek_interpreter_stack() is not None:
            raise TransformError(
                "uk.custom_gradient does not run inside uk.vmap, uk.jvp or uk.hvp on PyTorch: it is written for "
                "autograd, whose functions torch.func does not transform by itself; use a tape, or uk.grad of uk.grad"
            )
        # It runs where autograd records, so that what the pullback keeps can be differentiated again.
        outputs, pullback = run(inputs)
        detached = [output.detach() for output in outputs]
        return list(_OwnGradient.apply(pullback, len(outputs), *detached, *inputs))

    def vmap(self, f: Callable[[Sequence[Any]], list[Any]], batched: Sequence[Any]) -> list[Any]:
        from unikeras.backends.torch._memory_format import AnyMemoryFormat

        try:
            with AnyMemoryFormat():
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

    def is_symbolic(self, value: Any) -> bool:
        return isinstance(value, torch.Tensor) and value.device.type == "meta"

    def is_tracing(self) -> bool:
        return torch.compiler.is_compiling()

    def trace_fault(self, error: BaseException) -> TraceFault | None:
        return "backward" if "does not require grad and does not have a grad_fn" in str(error) else None

    def program_input(self, array: Any) -> Any:
        from keras import ops

        return ops.convert_to_tensor(array)

    def compile(
        self,
        f: Callable[[Sequence[Any]], list[Any]],
        shapes: Sequence[tuple[int | None, ...]],
        dtypes: Sequence[Any],
        jit_compile: bool | str,
        donate: bool = True,
    ) -> Program:
        raise NotImplementedError("functions run as Python on PyTorch; see `untraced`")

    def untraced(self, f: Callable[..., Any], jit_compile: bool | str) -> Callable[..., Any]:
        # Keras' optimizers and metrics break torch.compile's graph at every variable, and the many small
        # graphs cost more than they save: "auto" runs the function eagerly.
        return torch.compile(f) if jit_compile is True else f

    def eager(self) -> AbstractContextManager[None]:
        return torch.compiler.set_stance("force_eager")

    def observed(self, tensor: Any, see: Callable[[Any], None]) -> Any:
        if not tensor.requires_grad:
            return tensor
        same = tensor.view_as(tensor)
        same.register_hook(see)
        return same

    def batches(self, adapter: Any) -> Iterable[Any]:
        from keras import tree
        from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

        # A data loader asks for rows one by one; numpy arrays are sliced.
        if isinstance(adapter, ArrayDataAdapter) and all(
            isinstance(x, np.ndarray) for x in tree.flatten(adapter._inputs)
        ):
            return adapter.get_numpy_iterator()
        return adapter.get_torch_dataloader()

    def recurrence(
        self, cell: str, x: Any, states: Sequence[Any], mask: Any | None, weights: Sequence[Any]
    ) -> tuple[Any, list[Any]] | None:
        from unikeras.backends.torch import _recurrence

        return _recurrence.recurrence(cell, x, states, mask, weights)

    def set_training(self, model: Any, training: bool) -> None:
        model.train(training)

    def keep(self, variable: Any) -> KeptValue:
        from unikeras.backends.torch import _kept

        return _kept.keep(variable)

    def on_native_write(self, see: Callable[[list[Any]], None]) -> None:
        from unikeras.backends.torch import _modules

        _modules.install()
        _modules.listeners[see] = None


class _OwnGradient(torch.autograd.Function):
    """Gives outputs a pullback to inputs that they were not computed from."""

    @staticmethod
    def forward(ctx: Any, pullback: Pullback, count: int, *tensors: Any) -> Any:
        ctx.pullback, ctx.count = pullback, count
        return tuple(tensor.view_as(tensor) for tensor in tensors[:count])

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        return (None, None, *[None] * ctx.count, *ctx.pullback(upstream))


def _vjp(f: FlatFunction, primals: Sequence[Any]) -> tuple[list[Any], list[Any], Pullback]:
    outputs, pullback, others = torch.func.vjp(lambda *values: f(values), *primals, has_aux=True)
    return outputs, others, lambda weights: list(pullback(list(weights)))


def create() -> TorchBackend:
    """Return the backend; the registry calls this once."""
    return TorchBackend()

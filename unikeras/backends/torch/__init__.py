"""The PyTorch backend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch

from unikeras.backends._base import Backend, FlatFunction, KeptValue, Program, Pullback, Tape, Vjp
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
        return torch.no_grad()

    def evaluating(self) -> AbstractContextManager[None]:
        return torch.no_grad()

    def native_vjp(self) -> Vjp | None:
        # torch.func's transforms refuse requires_grad_ and autograd.grad inside them, and nest with torch.func.vjp.
        return None if torch._C._functorch.peek_interpreter_stack() is None else _vjp

    def jvp(
        self, f: FlatFunction, primals: Sequence[Any], tangents: Sequence[Any]
    ) -> tuple[list[Any], list[Any], list[Any]]:
        outputs, pushed, others = torch.func.jvp(
            lambda *values: f(values), tuple(primals), tuple(tangents), has_aux=True
        )
        return outputs, pushed, others

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

    def is_symbolic(self, value: Any) -> bool:
        return isinstance(value, torch.Tensor) and value.device.type == "meta"

    def is_tracing(self) -> bool:
        return torch.compiler.is_compiling()

    def program_input(self, array: Any) -> Any:
        from keras import ops

        return ops.convert_to_tensor(array)

    def compile(
        self,
        f: Callable[[Sequence[Any]], list[Any]],
        shapes: Sequence[tuple[int | None, ...]],
        dtypes: Sequence[Any],
        jit_compile: bool | str,
    ) -> Program:
        raise NotImplementedError("functions run as Python on PyTorch; see `untraced`")

    def untraced(self, f: Callable[..., Any], jit_compile: bool | str) -> Callable[..., Any]:
        # Keras' optimizers and metrics break torch.compile's graph at every variable, and the many small
        # graphs cost more than they save: "auto" runs the function as it stands.
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
        _modules.listeners.append(see)


def _vjp(f: FlatFunction, primals: Sequence[Any]) -> tuple[list[Any], list[Any], Pullback]:
    outputs, pullback, others = torch.func.vjp(lambda *values: f(values), *primals, has_aux=True)
    return outputs, others, lambda weights: list(pullback(list(weights)))


def create() -> TorchBackend:
    """Return the backend; the registry calls this once."""
    return TorchBackend()

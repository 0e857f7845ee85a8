"""Training on PyTorch: numpy batches where there are any, and variables whose memory outlives a failing step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unikeras.backends._contract import KeptValue, NativeModule, Trainer
from unikeras.backends.torch import _assign

_SPARE = "_spare_memory"  # the variable's own attribute: it goes when the variable goes


class TorchTrainer(Trainer):
    """Batches as numpy arrays; a parameter's memory is its own snapshot."""

    def batches(self, adapter: Any) -> Iterable[Any]:
        from keras import tree
        from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

        # A data loader asks for rows one by one; numpy arrays are sliced.
        if isinstance(adapter, ArrayDataAdapter) and all(
            isinstance(x, np.ndarray) for x in tree.flatten(adapter._inputs)
        ):
            return adapter.get_numpy_iterator()
        return map(_as_tuple, adapter.get_torch_dataloader())

    def set_training(self, model: Any, training: bool) -> None:
        model.train(training)

    def move(self, variable: Any, device: str) -> None:
        value = variable._value
        target = torch.device(device.replace("gpu", "cuda"))
        if (value.device.type, value.device.index or 0) != (target.type, target.index):
            value.data = value.data.to(target)  # the parameter stays the same object, which modules hold

    def snapshot(self, variable: Any) -> KeptValue:
        # Keras' optimizers change parameters in place. The memory that holds the old numbers is kept, and the
        # parameter goes on in memory with a copy of them. On the CPU that memory is the one kept at the step before:
        # a fresh one would cost more than the copy, because the system hands it out page by page. An accelerator's
        # allocator has memory at hand, and less of it.
        parameter = variable._value
        old = parameter.data
        parameter.data = _copied(old, vars(variable).pop(_SPARE, None))

        def restore() -> None:
            parameter.data = old

        def release() -> None:
            # A tape that read the variable still looks at the old memory.
            if old.device.type == "cpu" and not _assign.is_read(variable):
                vars(variable)[_SPARE] = old

        return KeptValue(restore, release)

    def on_native_write(self, hook: Callable[[list[Any]], None]) -> None:
        from unikeras.backends.torch import _modules

        _modules.install()
        _modules.listeners[hook] = None

    def native_variables(self, model: Any) -> list[Any]:
        from unikeras.backends.torch import _modules

        return _modules.native_buffers(model)

    def wrap_module(self, module: Any) -> NativeModule | None:
        from unikeras.backends.torch._wrapped_module import WrappedModule

        return WrappedModule(module) if isinstance(module, torch.nn.Module) else None

    def generator_state(self) -> dict[str, Any]:
        states = {"cpu": torch.get_rng_state()}
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            states |= {f"cuda:{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
        if torch.backends.mps.is_available():
            states["mps"] = torch.mps.get_rng_state()
        return {name: state.cpu().numpy().copy() for name, state in states.items()}

    def restore_generator_state(self, state: dict[str, Any]) -> None:
        for name, words in state.items():
            kind, _, number = name.partition(":")
            if kind == "cpu":
                torch.set_rng_state(torch.from_numpy(words))
            elif kind == "cuda" and int(number) < torch.cuda.device_count():
                torch.cuda.set_rng_state(torch.from_numpy(words), int(number))
            elif kind == "mps" and torch.backends.mps.is_available():
                torch.mps.set_rng_state(torch.from_numpy(words))

    def profile(self, folder: Path) -> AbstractContextManager[None]:
        from unikeras.backends.torch import _profile

        return _profile.profile(folder)

    def profiled_step(self, name: str, number: int) -> AbstractContextManager[Any]:
        from unikeras.backends.torch import _profile

        return _profile.step(name, number)

    def plain_step(
        self, model: Any, optimizer: Any, loss_fn: Callable[[Any, Any], Any]
    ) -> Callable[[Any, Any], Any]:
        from unikeras.backends.torch import _plain_loop

        return _plain_loop.plain_step(model, optimizer, loss_fn)

    def plain_prediction(self, model: Any) -> Callable[[Any], Any]:
        from unikeras.backends.torch import _plain_loop

        return _plain_loop.plain_prediction(model)


def _as_tuple(batch: Any) -> Any:
    """Return a batch as other backends have it: a DataLoader makes lists of tuples."""
    return tuple(batch) if isinstance(batch, list) else batch


def _copied(value: torch.Tensor, spare: torch.Tensor | None) -> torch.Tensor:
    if (
        spare is None
        or spare.shape != value.shape
        or spare.dtype != value.dtype
        or spare.stride() != value.stride()
    ):
        return value.clone()
    return spare.copy_(value)

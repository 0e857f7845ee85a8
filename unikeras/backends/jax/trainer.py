"""Training on JAX: Keras' own batches, and arrays that never change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from unikeras.backends._contract import KeptValue, Trainer


class JaxTrainer(Trainer):
    """Batches that are brought to the device ahead; an array is its own snapshot."""

    def batches(self, adapter: Any) -> Iterable[Any]:
        from keras.src.backend.jax.trainer import JAXEpochIterator

        # Keras' own: it brings batches to the device ahead of the step, and distributes them.
        batches = object.__new__(JAXEpochIterator)
        batches.data_adapter = adapter
        return batches._get_iterator()

    def set_training(self, model: Any, training: bool) -> None:
        pass

    def snapshot(self, variable: Any) -> KeptValue:
        old = variable._value

        def restore() -> None:
            variable._value = old

        return KeptValue(restore)

    def profile(self, folder: Path) -> AbstractContextManager[None]:
        from unikeras.backends.jax import _profile

        return _profile.profile(folder)

    def profiled_step(self, name: str, number: int) -> AbstractContextManager[Any]:
        from unikeras.backends.jax import _profile

        return _profile.step(name, number)

    def plain_step(
        self, model: Any, optimizer: Any, loss_fn: Callable[[Any, Any], Any]
    ) -> Callable[[Any, Any], Any]:
        from unikeras.backends.jax import _plain_loop

        return _plain_loop.plain_step(model, optimizer, loss_fn)

    def plain_prediction(self, model: Any) -> Callable[[Any], Any]:
        from unikeras.backends.jax import _plain_loop

        return _plain_loop.plain_prediction(model)

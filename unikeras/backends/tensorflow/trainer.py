"""Training on TensorFlow: sparse and ragged tensors besides dense ones, and variables that change in place."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from tensorflow.python.eager import context

from unikeras.backends._contract import KeptValue, Trainer


class TensorflowTrainer(Trainer):
    """Batches as numpy arrays or from tf.data; a copy is a variable's snapshot."""

    def batches(self, adapter: Any) -> Iterable[Any]:
        from unikeras.backends.tensorflow import _data

        return _data.batches(adapter)

    def concatenate(self, outputs: Sequence[Any]) -> Any:
        from unikeras.backends.tensorflow import _data

        return _data.concatenate(outputs)

    def set_training(self, model: Any, training: bool) -> None:
        pass

    def snapshot(self, variable: Any) -> KeptValue:
        old = variable._value.read_value()

        def restore() -> None:
            variable._value.assign(old)

        return KeptValue(restore)

    def generator_state(self) -> dict[str, Any]:
        eager = context.context()
        generator = getattr(eager, "_rng", None)  # which is there once a seed was set
        if generator is None:
            return {"seed": eager._seed}
        version, words, gauss = generator.getstate()
        return {"seed": eager._seed, "version": version, "words": np.array(words, np.uint64), "gauss": gauss}

    def restore_generator_state(self, state: dict[str, Any]) -> None:
        eager = context.context()
        eager._seed, eager._rng = state["seed"], None
        if "words" in state:
            eager._rng = random.Random()
            eager._rng.setstate((state["version"], tuple(state["words"].tolist()), state["gauss"]))
        eager._clear_caches()  # the kernels of eager operations keep the seeds that they were made with

    def profile(self, folder: Path) -> AbstractContextManager[None]:
        from unikeras.backends.tensorflow import _profile

        return _profile.profile(folder)

    def profiled_step(self, name: str, number: int) -> AbstractContextManager[Any]:
        from unikeras.backends.tensorflow import _profile

        return _profile.step(name, number)

    def plain_step(
        self, model: Any, optimizer: Any, loss_fn: Callable[[Any, Any], Any]
    ) -> Callable[[Any, Any], Any]:
        from unikeras.backends.tensorflow import _plain_loop

        return _plain_loop.plain_step(model, optimizer, loss_fn)

    def plain_prediction(self, model: Any) -> Callable[[Any], Any]:
        from unikeras.backends.tensorflow import _plain_loop

        return _plain_loop.plain_prediction(model)

"""TensorFlow's own tape, behind the contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from unikeras.backends._base import Tape


class TensorflowTape(Tape):
    """tf.GradientTape; Keras variables are resource variables to it, so they pass as they are."""

    def __init__(self, persistent: bool, watch_accessed_variables: bool) -> None:
        self._tape = tf.GradientTape(persistent, watch_accessed_variables)

    def start(self) -> None:
        self._tape.__enter__()

    def stop(self) -> None:
        self._tape.__exit__(None, None, None)

    def watch(self, value: Any) -> None:
        self._tape.watch(value.value if isinstance(value, keras.Variable) else value)

    def gradient(
        self, targets: Sequence[Any], sources: Sequence[Any], output_gradients: Sequence[Any]
    ) -> list[Any]:
        given = [
            tf.ones_like(target) if weight is None else weight
            for target, weight in zip(targets, output_gradients, strict=True)
        ]
        gradients = self._tape.gradient(list(targets), list(sources), output_gradients=given)
        return [_dense(gradient) for gradient in gradients]

    def release(self) -> None:
        """Nothing: tf.GradientTape frees itself at `gradient`, a persistent one when it is collected."""


def _dense(gradient: Any) -> Any:
    """Turn the slices that a lookup's gradient comes in into the tensor that other backends give."""
    return tf.convert_to_tensor(gradient) if isinstance(gradient, tf.IndexedSlices) else gradient

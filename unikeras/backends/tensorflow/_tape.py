"""TensorFlow's own tape, behind the contract."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf
from keras import Variable

from unikeras.backends._base import Tape
from unikeras.backends.tensorflow import _recording


class TensorflowTape(Tape):
    """tf.GradientTape."""

    def __init__(self, persistent: bool, watch_accessed_variables: bool) -> None:
        self._watches_native = watch_accessed_variables
        self._tape: Any = tf.GradientTape(persistent, watch_accessed_variables)
        # What each watched variable gave out, by its id: one tf.Variable, or the tensors of a StatelessScope.
        self._reads: dict[int, list[Any]] = {}
        self._on = False
        self._block: _recording.Block | None = None

    def start(self) -> None:
        self._tape.__enter__()
        self._on = True
        self._block = _recording.begin(self)

    def stop(self) -> None:
        self._on = False
        _recording.end(self, self._block)
        if self._tape._recording:  # a tape that was asked in its own block has stopped by itself
            self._tape.__exit__(None, None, None)

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        # Its own `stop_recording` would begin a new recording after a tape that was asked inside.
        if paused := self._tape._recording:
            self._tape._pop_tape()
        try:
            yield
        finally:
            if paused and self._on:
                self._tape._push_tape()

    def watch(self, tensor: Any) -> None:
        self._tape.watch(tensor)

    def read(self, variable: Any, value: Any) -> Any:
        held = self._reads.setdefault(id(variable), [])
        if not any(value is known for known in held):
            held.append(value)
            if not (self._watches_native and isinstance(value, tf.Variable) and value.trainable):
                self._tape.watch(value)
        return value

    def gradient(
        self, targets: Sequence[Any], sources: Sequence[Any], output_gradients: Sequence[Any]
    ) -> list[Any]:
        given = None
        if any(weight is not None for weight in output_gradients):
            given = [
                tf.ones_like(target) if weight is None else weight
                for target, weight in zip(targets, output_gradients, strict=True)
            ]
        found = self._tape.gradient(list(targets), self._values(sources), output_gradients=given)
        return [_total(gradients) for gradients in found]

    def gradient_to_apply(self, target: Any, sources: Sequence[Any]) -> list[Any]:
        found = self._tape.gradient(target, self._values(sources))
        return [gradients[0] if len(gradients) == 1 else _total(gradients) for gradients in found]

    def batched_gradient(self, target: Any, sources: Sequence[Any], output_gradients: Any) -> list[Any]:
        connected: list[int] = []

        def one(weight: Any) -> list[Any]:
            gradients = self.gradient([target], sources, [weight])
            connected[:] = [i for i, gradient in enumerate(gradients) if gradient is not None]
            # vectorized_map needs something to stack where nothing is connected.
            return [gradients[i] for i in connected] or [weight]

        stacked = iter(tf.vectorized_map(one, output_gradients))
        return [next(stacked) if i in connected else None for i in range(len(sources))]

    def _values(self, sources: Sequence[Any]) -> list[list[Any]]:
        # A tf.function reads variables without passing through Python; TensorFlow noticed it all the same.
        return [
            self._reads.get(id(source), [source.value]) if isinstance(source, Variable) else [source]
            for source in sources
        ]

    def reset(self) -> None:
        self._tape.reset()
        self._reads.clear()

    def release(self) -> None:
        self._tape = None
        self._reads.clear()


class Accumulator:
    """tf.autodiff.ForwardAccumulator, as a context manager."""

    def __init__(self, primals: Sequence[Any], tangents: Sequence[Any]) -> None:
        self._accumulator = tf.autodiff.ForwardAccumulator(list(primals), list(tangents))

    def __enter__(self) -> Any:
        self._block = _recording.begin(self)
        return self._accumulator.__enter__()

    def __exit__(self, *exc_info: Any) -> None:
        self._accumulator.__exit__(*exc_info)
        _recording.end(self, self._block)

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Push no tangents in this block."""
        self._accumulator._pop_accumulator()
        try:
            yield
        finally:
            self._accumulator._push_accumulator()


def _total(gradients: Sequence[Any]) -> Any:
    """Add up what arrived at one source; slices, as a lookup's gradient has, become a tensor."""
    found = [tf.convert_to_tensor(gradient) for gradient in gradients if gradient is not None]
    return tf.add_n(found) if len(found) > 1 else (found or [None])[0]

"""TensorFlow's own tape, behind the contract."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf
from keras import Variable

from unikeras.backends._contract import BackendTape, FlatFunction
from unikeras.backends.tensorflow import _recording
from unikeras.errors import TransformError


class TensorflowTape(BackendTape):
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

        try:
            with _without_log():
                stacked = iter(tf.vectorized_map(one, output_gradients))
        except (ValueError, TypeError, NotImplementedError, tf.errors.OpError) as error:
            # pfor cannot convert some operations, second derivatives of a while loop among them; if something else is
            # wrong, the loop says so.
            if not self._tape._persistent:
                raise TransformError(
                    "TensorFlow cannot compute this jacobian as one batch, and a tape that answers once cannot take it "
                    f"row by row; use uk.GradientTape(persistent=True), or uk.jacobian ({_first_line(error)})"
                ) from error
            spec = [tf.TensorSpec(row.shape, row.dtype) for row in one(output_gradients[0])]
            stacked = iter(tf.map_fn(one, output_gradients, fn_output_signature=spec))
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


def pushed_forward(
    f: FlatFunction, primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[list[Any], list[Any], list[Any]]:
    """Return a function's outputs, their tangents, and its other tensors."""
    try:
        with Accumulator(primals, tangents) as accumulator:
            outputs, others = f(primals)
            zero = tf.UnconnectedGradients.ZERO
            return outputs, [accumulator.jvp(output, zero) for output in outputs], others
    except TypeError as error:
        # An accumulator has no tangent for the TensorLists of a while loop that is traced.
        if "variant" not in str(error):
            raise
    return _pulled_twice(f, primals, tangents)


def _pulled_twice(
    f: FlatFunction, primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[list[Any], list[Any], list[Any]]:
    """Do the same by two backward passes: the pullback is linear in its weights, and its own pullback is the jvp."""
    inexact: list[Any] = []
    with _recording_tape() as outer:
        with _recording_tape() as inner:
            for primal in primals:
                inner.watch(primal)
            outputs, others = f(primals)
            inexact = [output for output in outputs if output.dtype.is_floating or output.dtype.is_complex]
        weights = [tf.ones_like(output) for output in inexact]
        for weight in weights:
            outer.watch(weight)
        pulled = inner.gradient(inexact, primals, weights)
    pairs = [(one, along) for one, along in zip(pulled, tangents, strict=True) if one is not None]
    pushed = [None] * len(inexact)
    if pairs:
        targets, given = zip(*pairs, strict=True)
        pushed = outer.gradient(targets, weights, given)
    found = {id(output): tangent for output, tangent in zip(inexact, pushed, strict=True)}
    tangent_of = [found.get(id(output)) for output in outputs]
    return (
        outputs,
        [
            tf.zeros_like(o) if tangent is None else tangent
            for o, tangent in zip(outputs, tangent_of, strict=True)
        ],
        others,
    )


@contextlib.contextmanager
def _recording_tape() -> Iterator[TensorflowTape]:
    tape = TensorflowTape(persistent=False, watch_accessed_variables=False)
    tape.start()
    try:
        yield tape
    finally:
        tape.stop()


@contextlib.contextmanager
def _without_log() -> Iterator[None]:
    """Keep TensorFlow from writing pages about an operation that pfor cannot convert; the error says it too."""
    log = logging.getLogger("tensorflow")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__


def _total(gradients: Sequence[Any]) -> Any:
    """Add up what arrived at one source; slices, as a lookup's gradient has, become a tensor."""
    found = [tf.convert_to_tensor(gradient) for gradient in gradients if gradient is not None]
    return tf.add_n(found) if len(found) > 1 else (found or [None])[0]

"""GradientTape: TensorFlow's tape as TensorFlow documents it, on every backend."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Literal

from unikeras import backends
from unikeras._keras.variables import dtype_of, is_differentiable, is_variable
from unikeras.autodiff import _jacobian_rows
from unikeras.autodiff._applied_gradients import check_applied_gradients
from unikeras.autodiff._nested import flatten as flatten_structure
from unikeras.autodiff._none_hints import warn_of_none
from unikeras.autodiff._partners import match_leaves
from unikeras.autodiff._sources import check_tensor, flatten, pack
from unikeras.backends import Tape, variable_reads
from unikeras.errors import ArgumentValueError, TapeError

logger = logging.getLogger("unikeras")

Unconnected = Literal["none", "zero"]


class GradientTape:
    """Record what is computed inside the `with` block, to differentiate it afterwards.

    Trainable Keras variables are watched when they are read; other tensors when `watch` names them.
    Values inside the block are what they are outside: on JAX too they are concrete in eager code, so that
    `float(loss)` and a debugger work. (An uncompiled recurrent step on JAX is slow; compile it.)

    Args:
        persistent: allow more than one call of `gradient`; the recording lives as long as the tape.
        watch_accessed_variables: watch trainable variables when they are read.

    Source:
        tf.GradientTape (tensorflow/python/eager/backprop.py), whose documentation is the specification.

    Example:
        >>> import keras, unikeras as uk
        >>> x = keras.ops.convert_to_tensor([1.0, 3.0])
        >>> with uk.GradientTape() as tape:
        ...     tape.watch(x)
        ...     y = keras.ops.sum(x * x)
        >>> keras.ops.convert_to_numpy(tape.gradient(y, x)).tolist()
        [2.0, 6.0]
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._persistent = persistent
        self._watch_accessed = watch_accessed_variables
        self._backend_tape: Tape | None = None
        self._recording = False
        self._paused = False
        self._watched: dict[int, Any] = {}
        self._watched_tensors: dict[int, Any] = {}
        self._has_answered = False

    def __enter__(self) -> GradientTape:
        if self._recording:
            raise TapeError("this tape records already; a block inside its own block needs a second tape")
        if self._backend_tape is None:
            self._backend_tape = backends.current().tape(self._persistent, self._watch_accessed)
            self._watched, self._watched_tensors, self._has_answered = {}, {}, False
        self._backend_tape.start()
        check_applied_gradients()
        variable_reads.push(self)
        self._recording = True
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._recording:
            self._recording = False
            variable_reads.remove(self)
            self._require_recording().stop()

    def watch(self, tensor: Any) -> None:
        """Record what is computed from these tensors from here on.

        Args:
            tensor: a floating or complex tensor of any shape, a Keras variable, or a nested structure of
                them. Integer tensors have no gradient: they are left out, with a warning in the log.

        Raises:
            TapeError: the tape is not recording.
            ArgumentError: a leaf is neither a tensor nor a Keras variable.
        """
        if not self._recording:
            raise TapeError("watch() belongs inside the tape's `with` block, before the computation")
        for leaf in flatten("watch(tensor)", tensor):
            if not is_differentiable(leaf):
                logger.warning(
                    "a tensor of dtype %s cannot be watched: gradients exist for floating and complex "
                    "dtypes only",
                    dtype_of(leaf),
                )
            elif is_variable(leaf):
                self._watched[id(leaf)] = leaf
                _ = leaf.value  # tells the backend's tape, which may not record where the function reads it
            else:
                self._require_recording().watch(leaf)
                self._watched_tensors[id(leaf)] = leaf

    def _read(self, variable: Any, value: Any) -> Any:
        """Note that a variable gave out a value; return the tensor to use instead."""
        if self._paused or not self._recording:
            return value
        if id(variable) not in self._watched:
            if not (self._watch_accessed and variable.trainable and is_differentiable(value)):
                return self._require_recording().pass_by(variable, value)
            self._watched[id(variable)] = variable
        return self._require_recording().read(variable, value)

    def watched_variables(self) -> tuple[Any, ...]:
        """Return the Keras variables watched so far.

        Returns:
            The variables, in the order in which they were first read or watched.
        """
        return tuple(self._watched.values())

    @contextlib.contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Return a context in which this tape records nothing; tapes around it go on recording.

        Raises:
            TapeError: the tape is not recording.
        """
        if not self._recording or self._paused:
            raise TapeError("stop_recording() belongs inside the tape's `with` block, once at a time")
        self._paused = True
        try:
            with self._require_recording().pause():
                yield
        finally:
            self._paused = False

    def reset(self) -> None:
        """Forget all that was recorded and watched; inside the block, recording goes on from nothing."""
        self._watched, self._watched_tensors = {}, {}
        if self._backend_tape is not None:
            self._backend_tape.reset()

    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: Unconnected = "none",
    ) -> Any:
        """Return the gradient of a target with respect to sources.

        Args:
            target: a tensor, or a nested structure of tensors, computed inside the block. What is not a
                scalar is summed.
            sources: a nested structure of Keras variables, watched tensors and intermediate results.
            output_gradients: as `target`; the gradients of something further on with respect to the
                target, by which it is weighted. Ones where it is None.
            unconnected_gradients: `"none"` answers None where a source does not influence the target,
                `"zero"` zeros of the source's shape.

        Returns:
            Tensors of the sources' shapes and dtypes, in the sources' structure.

        Raises:
            TapeError: nothing was recorded, or the tape is not persistent and has answered already.
            ArgumentError: a target or source is not a tensor, or the output gradients do not fit the target.
        """
        backend_tape = self._require_recording()
        targets = flatten("target", target)
        wanted = flatten("sources", sources)
        weights = _weights(output_gradients, target, targets)
        _check_unconnected(unconnected_gradients)
        with self._end_after_answer():
            values = [self._value(leaf) for leaf in targets]
            gradients = self._compute(lambda known: backend_tape.gradient(values, known, weights), wanted)
        self._explain(wanted, gradients, unconnected_gradients)
        return pack(sources, _fill_in_zeros(gradients, wanted, unconnected_gradients))

    def jacobian(self, target: Any, sources: Any, unconnected_gradients: Unconnected = "none") -> Any:
        """Return the derivative of every element of a target with respect to every element of sources.

        Args:
            target: a floating or complex tensor of any shape, computed inside the block.
            sources: a nested structure of Keras variables, watched tensors and intermediate results.
            unconnected_gradients: as for `gradient`.

        Returns:
            Tensors of shape `target.shape + source.shape`, in the sources' structure.

        Raises:
            TapeError: nothing was recorded, or the tape is not persistent and has answered already.
            ArgumentError: the target or a source is not a tensor, or the target is not floating or complex.

        Source:
            tf.GradientTape.jacobian.
        """
        backend_tape = self._require_recording()
        wanted = flatten("sources", sources)
        check_tensor("target", target)
        _jacobian_rows.check_floating(target)
        _check_unconnected(unconnected_gradients)
        with self._end_after_answer():
            value = self._value(target)
            rows = self._compute(lambda known: _jacobian_rows.rows(backend_tape, value, known), wanted)
        self._explain(wanted, rows, unconnected_gradients)
        if unconnected_gradients == "zero":
            rows = [
                _jacobian_rows.zeros(value, s) if r is None else r for r, s in zip(rows, wanted, strict=True)
            ]
        return pack(sources, rows)

    def batch_jacobian(self, target: Any, source: Any, unconnected_gradients: Unconnected = "none") -> Any:
        """Return each example's jacobian, where example i of the target depends on example i of the source only.

        Args:
            target: a floating or complex tensor of shape (batch, ...).
            source: a watched tensor of shape (batch, ...).
            unconnected_gradients: as for `gradient`.

        Returns:
            A tensor of shape `(batch, *target.shape[1:], *source.shape[1:])`.

        Raises:
            TapeError: nothing was recorded, or the tape is not persistent and has answered already.
            ArgumentError: target or source is not a tensor with a batch axis of one length.

        Source:
            tf.GradientTape.batch_jacobian.
        """
        backend_tape = self._require_recording()
        check_tensor("target", target)
        check_tensor("source", source)
        _jacobian_rows.check_floating(target)
        _jacobian_rows.check_batch(target, source)
        _check_unconnected(unconnected_gradients)
        with self._end_after_answer():
            value = self._value(target)
            (found,) = self._compute(
                lambda known: _jacobian_rows.batch_rows(backend_tape, value, known), [source]
            )
        self._explain([source], [found], unconnected_gradients)
        if found is None and unconnected_gradients == "zero":
            return _jacobian_rows.batch_zeros(value, source)
        return found

    def _require_recording(self) -> Tape:
        if self._backend_tape is None:
            raise TapeError(
                "this tape has answered already, and its recording is freed; uk.GradientTape(persistent=True) answers "
                "any number of times"
                if self._has_answered
                else "this tape was never entered: compute the target inside `with uk.GradientTape() as tape:`"
            )
        return self._backend_tape

    @contextlib.contextmanager
    def _end_after_answer(self) -> Iterator[None]:
        """End the recording around the answer of a tape that answers once; free it afterwards."""
        if self._persistent:
            yield
            return
        backend_tape = self._require_recording()
        self._stop()
        try:
            yield
        finally:
            self._backend_tape, self._has_answered = None, True
            backend_tape.release()

    def _compute(self, answer: Callable[[list[Any]], list[Any]], wanted: list[Any]) -> list[Any]:
        """Compute the answers for those sources that can have one; the others are None."""
        known = [source for source in wanted if not is_variable(source) or self._may_have_read(source)]
        found = dict(zip(map(id, known), answer(known) if known else [], strict=True))
        return [found.get(id(source)) for source in wanted]

    def _explain(self, wanted: list[Any], answers: list[Any], unconnected: Unconnected) -> None:
        if unconnected == "none" and any(answer is None for answer in answers):
            warn_of_none(wanted, answers, {*self._watched, *self._watched_tensors}, self._watch_accessed)

    def _may_have_read(self, variable: Any) -> bool:
        # A compiled function may read variables without passing through Python.
        return id(variable) in self._watched or (self._watch_accessed and variable.trainable)

    def _value(self, target: Any) -> Any:
        """Return a target as the backend's tape knows it: of a variable, what it gave out while it was watched."""
        if not is_variable(target):
            return target
        value = target.value
        return self._require_recording().read(target, value) if id(target) in self._watched else value


def gradients_to_apply(tape: GradientTape, loss: Any, variables: list[Any]) -> list[Any]:
    """Return the gradients of a loss as an optimizer takes them, which may know a cheaper form than tensors.

    TensorFlow's gradient of a lookup in a large table holds the rows that were looked up.
    """
    backend_tape = tape._require_recording()
    with tape._end_after_answer():
        return tape._compute(lambda known: backend_tape.gradient_to_apply(loss, known), variables)


def _check_unconnected(unconnected_gradients: str) -> None:
    if unconnected_gradients not in ("none", "zero"):
        raise ArgumentValueError(
            f"unconnected_gradients must be 'none' or 'zero', not {unconnected_gradients!r}"
        )


def _fill_in_zeros(gradients: list[Any], sources: list[Any], unconnected: Unconnected) -> list[Any]:
    from keras import ops

    return [
        ops.zeros_like(ops.convert_to_tensor(source))
        if gradient is None and unconnected == "zero"
        else gradient
        for gradient, source in zip(gradients, sources, strict=True)
    ]


def _weights(output_gradients: Any, target: Any, targets: list[Any]) -> list[Any]:
    if output_gradients is None:
        return [None] * len(targets)
    given = flatten_structure(output_gradients, none_is_leaf=True)
    hint = f"output_gradients has {len(given)} tensors, target has {len(targets)}; pass one for each target"
    if (
        len(given) == len(targets) == 1
    ):  # TensorFlow's tape takes [weight] for a target, and weight for [target]
        output_gradients, target = given[0], targets[0]
    return match_leaves(
        "output_gradients",
        output_gradients,
        "target",
        target,
        none=True,
        hint="" if len(given) == len(targets) else hint,
    )


def is_differentiated() -> bool:
    """Say whether a tape, or a transform in place of one, wants what this thread computes."""
    return bool(variable_reads.tapes()) or backends.current().native_vjp() is not None

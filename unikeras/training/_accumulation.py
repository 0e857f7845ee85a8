"""One update for several micro-batches: Keras' own accumulation, with schedules and averages that count updates."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from unikeras._keras import hooks
from unikeras.errors import ArgumentError, StateError
from unikeras.training._best_weights import count

# Only these count updates everywhere; an optimizer that somebody gave Keras' argument does as Keras says.
_exact: weakref.WeakSet[Any] = weakref.WeakSet()


def accumulate(optimizer: Any, steps: int) -> Any:
    """Let an optimizer update the weights once for several micro-batches, with the mean of their gradients.

    Micro-batches of one size are then what one batch of all of them is: clipping, weight decay, learning-rate schedules
    and moving averages see updates, not micro-batches. It is Keras' own `gradient_accumulation_steps`, set on the
    optimizer that does the work; by itself, that counts micro-batches for schedules and moving averages. An optimizer
    from a file, or from another process, is passed to `accumulate` again.

    A group that is not full at the end of an epoch goes on in the next one. Under a `LossScaleOptimizer`, a micro-batch
    whose gradients are not finite is left out, and the next one takes its place. What layers compute of a batch, such
    as BatchNormalization's statistics, is computed of a micro-batch.

    Args:
        optimizer: a Keras optimizer that has no slots yet, also a `LossScaleOptimizer` or a `MultiOptimizer`.
        steps: how many micro-batches; 1 for none of this.

    Returns:
        The optimizer.

    Raises:
        ArgumentError: it is no Keras optimizer, or a `MultiOptimizer` that does not know its optimizers yet.
        ArgumentValueError: `steps` is no integer of 1 or more.
        StateError: the optimizer is built for another number of steps.

    Example:
        >>> import keras, unikeras as uk
        >>> optimizer = uk.training.accumulate(keras.optimizers.Adam(0.01), 4)
        >>> optimizer.gradient_accumulation_steps
        4
    """
    steps = count("steps", steps, least=1)
    parts = _parts(optimizer)
    for part in parts:
        if part.built and (part.gradient_accumulation_steps or 1) != steps:
            raise StateError(
                f"optimizer {part.name!r} is built already, without room for the gradients of {steps} micro-batches; "
                "call accumulate right after the optimizer is made"
            )
    for part in parts:
        part.gradient_accumulation_steps = steps if steps > 1 else None
        _exact.add(part)
    hooks.use("keras.Optimizer._get_current_learning_rate", _with_counted_updates)
    hooks.use("keras.Optimizer._backend_apply_gradients", _with_exact_averages)
    return optimizer


def _parts(optimizer: Any) -> list[Any]:
    """Return the optimizers that change weights: this one, or those that it consists of.

    Raises:
        ArgumentError: there are none.
    """
    if not isinstance(optimizer, keras.Optimizer):
        raise ArgumentError(f"optimizer must be a Keras optimizer; received {type(optimizer).__qualname__}")
    parts = getattr(optimizer, "optimizers", None)
    if parts is None:
        return [getattr(optimizer, "inner_optimizer", optimizer)]
    if not parts:
        raise ArgumentError(
            f"{type(optimizer).__name__} {optimizer.name!r} finds its optimizers when it is built; "
            "call accumulate on each of them where they are made"
        )
    return list(parts)


def _with_counted_updates(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def _get_current_learning_rate(self: Any) -> Any:
        rate = self._learning_rate
        if self in _exact and isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
            return rate(self.iterations)
        return original(self)

    return _get_current_learning_rate


def _with_exact_averages(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def _backend_apply_gradients(self: Any, grads: Any, trainable_variables: Any) -> Any:
        if not (self.use_ema and self.gradient_accumulation_steps and self in _exact):
            return original(self, grads, trainable_variables)
        self.use_ema = False
        try:
            original(self, grads, trainable_variables)
        finally:
            self.use_ema = True
        return _update_averages(self)

    return _backend_apply_gradients


def _update_averages(optimizer: Any) -> None:
    """Move the averages of the weights, and the weights to them, where this micro-batch is the last of its group.

    Source: keras/src/optimizers/base_optimizer.py.
    """
    frequency = optimizer.ema_overwrite_frequency
    updates = optimizer.iterations  # before this one
    is_update = ops.equal((optimizer._iterations + 1) % optimizer.gradient_accumulation_steps, 0)
    is_overwritten = (
        ops.logical_and(is_update, ops.equal((updates + 1) % frequency, 0)) if frequency else None
    )
    weights = zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True)
    for weight, average in weights:
        if average is None:
            continue
        momentum = ops.cast(ops.not_equal(updates, 0), weight.dtype) * optimizer.ema_momentum
        moved = momentum * average.value + (1 - momentum) * weight.value
        average.assign(ops.where(is_update, moved, average.value))
        if is_overwritten is not None:
            weight.assign(ops.where(is_overwritten, average.value, weight.value))

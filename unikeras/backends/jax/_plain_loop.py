"""A train step and a prediction as Keras' guide for JAX writes them: jax.jit of stateless calls, state donated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import keras


def plain_step(model: Any, optimizer: Any, loss_fn: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """See `Trainer.plain_step`; the step holds the state, and the model keeps what it had."""
    optimizer.build(model.trainable_variables)

    def loss_and_updates(trainable: Any, other: Any, x: Any, y: Any) -> Any:
        outputs, other = model.stateless_call(trainable, other, x, training=True)
        return keras.ops.mean(loss_fn(y, outputs)), other

    gradient = jax.value_and_grad(loss_and_updates, has_aux=True)

    def step(state: Any, x: Any, y: Any) -> Any:
        trainable, other, slots = state
        (loss, other), gradients = gradient(trainable, other, x, y)
        trainable, slots = optimizer.stateless_apply(slots, gradients, trainable)
        return loss, (trainable, other, slots)

    jitted = jax.jit(step, donate_argnums=0)
    lists = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
    state = tuple([variable.value.copy() for variable in each] for each in lists)

    def run(x: Any, y: Any) -> Any:
        nonlocal state
        loss, state = jitted(state, x, y)
        return loss

    return run


def plain_prediction(model: Any) -> Callable[[Any], Any]:
    """See `Trainer.plain_prediction`."""
    lists = (model.trainable_variables, model.non_trainable_variables)
    state = tuple([variable.value for variable in each] for each in lists)
    predict = jax.jit(lambda state, x: model.stateless_call(*state, x, training=False)[0])
    return lambda x: jax.device_get(predict(state, x))

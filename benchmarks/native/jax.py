"""A jitted step with donated state, as Keras' guide for JAX writes it."""

from __future__ import annotations

import jax
import numpy as np


def training(model, optimizer, loss_fn, accuracy):
    """Return a function of (x, y) that trains; it holds the state."""
    optimizer.build(model.trainable_variables)

    def loss_and_updates(trainable, non_trainable, accuracies, x, y):
        logits, non_trainable = model.stateless_call(trainable, non_trainable, x, training=True)
        accuracies = accuracy.stateless_update_state(accuracies, y, logits)
        return loss_fn(y, logits), (non_trainable, accuracies)

    gradient = jax.value_and_grad(loss_and_updates, has_aux=True)

    def step(state, x, y):
        trainable, non_trainable, slots, accuracies = state
        (loss, (non_trainable, accuracies)), gradients = gradient(trainable, non_trainable, accuracies, x, y)
        trainable, slots = optimizer.stateless_apply(slots, gradients, trainable)
        return loss, (trainable, non_trainable, slots, accuracies)

    jitted = jax.jit(step, donate_argnums=0)
    state = (
        [v.value.copy() for v in model.trainable_variables],
        [v.value.copy() for v in model.non_trainable_variables],
        [v.value.copy() for v in optimizer.variables],
        [v.value.copy() for v in accuracy.variables],
    )

    def run(x, y):
        nonlocal state
        loss, state = jitted(state, x, y)
        return loss

    return run


def prediction(model):
    """Return a function of x that returns the model's outputs as numpy."""
    state = ([v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables])
    predict = jax.jit(lambda state, x: model.stateless_call(*state, x, training=False)[0])
    return lambda x: np.asarray(predict(state, x))

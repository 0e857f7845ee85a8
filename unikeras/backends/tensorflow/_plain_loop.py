"""A train step and a prediction as TensorFlow's guides write them: tf.function, and tf.GradientTape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def plain_step(model: Any, optimizer: Any, loss_fn: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """See `Trainer.plain_step`."""
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(loss_fn(y, model(x, training=True)))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    return step


def plain_prediction(model: Any) -> Callable[[Any], Any]:
    """See `Trainer.plain_prediction`."""

    @tf.function
    def predict(x: Any) -> Any:
        return model(x, training=False)

    return lambda x: tf.nest.map_structure(lambda tensor: tensor.numpy(), predict(x))

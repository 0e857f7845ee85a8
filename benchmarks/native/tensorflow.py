"""A tf.function with tf.GradientTape, as TensorFlow's guide writes it."""

from __future__ import annotations

import tensorflow as tf


def training(model, optimizer, loss_fn, accuracy):
    """Return a function of (x, y) that trains."""
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            logits = model(x, training=True)
            loss = loss_fn(y, logits)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        accuracy.update_state(y, logits)
        return loss

    return step


def prediction(model):
    """Return a function of x that returns the model's outputs as numpy."""

    @tf.function
    def predict(x):
        return model(x, training=False)

    return lambda x: predict(x).numpy()

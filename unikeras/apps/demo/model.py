"""The model of the demo: a small convolutional network, the same for every backend."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

import unikeras as uk
from unikeras.apps.demo.dataset import Array

CHUNK = 256


def build(shape: tuple[int, ...], classes: int, seed: int) -> Any:
    """Return a new `keras.Model` that returns one logit per class.

    Equal weights and equal batches must give equal losses on every backend, up to rounding: nothing in it is
    random during training (no Dropout), and all of it is smooth. In flat regions of an image the inputs of a
    MaxPooling2D are equal up to rounding, so rounding would choose which of them gets the gradient; the kinks
    of relu have the same effect on a smaller scale.

    Args:
        shape: the shape of one image: (height, width, channels).
        classes: how many classes there are.
        seed: of the initial weights, which depend on the backend, too.
    """
    import keras
    from keras import layers

    # Keras draws its initializers' seeds from here; keras.utils.set_random_seed would import TensorFlow, too.
    random.seed(seed)
    return keras.Sequential(
        [
            keras.Input(shape, name="image"),
            *_block(32),
            *_block(32),
            layers.AveragePooling2D(2),
            *_block(64),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(classes, name="logits"),
        ],
        name="demo",
    )


def _block(filters: int) -> list[Any]:
    from keras import layers

    return [
        layers.Conv2D(filters, 3, padding="same", use_bias=False),
        # Keras' momentum of 0.99 is for longer trainings: the first epoch of this one has 39 steps.
        layers.BatchNormalization(momentum=0.9),
        layers.Activation("gelu"),
    ]


def predictor(model: Any) -> Callable[[Array], Array]:
    """Return a function from images, (n, height, width, channels) float32, to probabilities (n, classes)."""
    from keras import ops

    @uk.function
    def probabilities(x: Any) -> Any:
        return ops.softmax(model(x, training=False))

    def predict(images: Array) -> Array:
        parts = []
        for start in range(0, len(images), CHUNK):
            part = images[start : start + CHUNK]
            # The last part is padded, so that all calls have one shape and compile once.
            full = np.pad(part, [(0, CHUNK - len(part)), (0, 0), (0, 0), (0, 0)])
            parts.append(ops.convert_to_numpy(probabilities(full))[: len(part)])
        return np.concatenate(parts)

    return predict

"""`keras.ops.map` whose function assigns to variables.

Keras' own calls the function on the first element once more, to learn what it returns, and so draws or assigns once too
often. Here a trace tells what it returns. This may go when Keras does so.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from keras.src.backend.tensorflow import core

from unikeras._keras import hooks


def install() -> None:
    """Put a `map` that calls its function once per element in the place of Keras' own."""
    hooks.use("keras.src.backend.tensorflow.core.map", _calling_once)


def _calling_once(own: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(own)
    def map_(f: Callable[[Any], Any], xs: Any) -> Any:
        xs = tf.nest.map_structure(core.convert_to_tensor, xs)
        try:
            element = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape[1:], x.dtype), xs)
            traced = tf.function(f, autograph=False).get_concrete_function(element)
        except (
            Exception
        ):  # a function that needs concrete values, or creates variables, runs as Keras runs it
            return own(f, xs)
        returned = tf.nest.map_structure(lambda y: tf.TensorSpec(y.shape, y.dtype), traced.structured_outputs)
        return tf.map_fn(f, xs, fn_output_signature=returned)

    return map_

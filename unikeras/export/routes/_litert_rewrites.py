"""What Keras computes by operators that LiteRT has not, written by those that it has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

HALF = ("float16", "bfloat16")


def in_float32(model: Any) -> Any:
    """Return a model that computes in float32: LiteRT has few operators for half of the digits.

    Args:
        model: a Keras model; a subclassed one is returned as it is.
    """
    import keras

    halves = [layer for layer in model._flatten_layers() if getattr(layer, "compute_dtype", None) in HALF]
    if not halves or not isinstance(model, keras.Sequential | keras.src.models.Functional):
        return model
    config = _without_policies(keras.saving.serialize_keras_object(model))
    whole = keras.saving.deserialize_keras_object(config, safe_mode=False)
    whole.set_weights([weight.astype("float32") for weight in model.get_weights()])
    return whole


def _without_policies(config: Any) -> Any:
    """Return a saved config in which every dtype policy is float32; inputs keep their dtypes."""
    if isinstance(config, list):
        return [_without_policies(item) for item in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "DTypePolicy":
        return {**config, "config": {**config["config"], "name": "float32"}}
    return {key: _without_policies(value) for key, value in config.items()}


@contextlib.contextmanager
def builtin_only(model: Any, unrolled: bool) -> Iterator[None]:
    """Trace a model with the rewrites of this file.

    Args:
        model: a Keras model under TensorFlow.
        unrolled: have recurrent layers traced step by step, so that the batch can stay free.
    """
    import keras
    from keras.src.backend.tensorflow import nn
    from keras.src.utils import tf_utils

    recurrent = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.RNN)]
    with contextlib.ExitStack() as stack:
        for layer in recurrent:
            stack.enter_context(_set(layer, "unroll", unrolled or layer.unroll))
        stack.enter_context(_set(nn, "_apply_masks", _masked(nn._apply_masks)))
        stack.enter_context(_set(tf_utils, "tf_encode_categorical_inputs", _no_shortcut))
        yield


@contextlib.contextmanager
def _set(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _masked(original: Any) -> Any:
    """Return Keras' masking of attention, causal without a slice that adds two axes to a free length."""

    def apply_masks(logits: Any, mask: Any, is_causal: bool) -> Any:
        import tensorflow as tf

        if is_causal:
            steps = [tf.range(tf.shape(logits)[axis]) for axis in (2, 3)]
            causal = tf.expand_dims(steps[0], 1) >= tf.expand_dims(steps[1], 0)
            mask = causal if mask is None else tf.logical_and(mask, causal)
        return original(logits, mask, False)

    return apply_masks


def _no_shortcut(*arguments: Any, **options: Any) -> Any:
    """Stand in for TensorFlow's way to encode categories, so that Keras takes its own, by one-hot vectors."""
    raise ValueError

"""What Keras computes by operators that LiteRT has not, written by those that it has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from unikeras._keras.patched import held, patched
from unikeras.export.writers import _litert_operations as operations


@contextlib.contextmanager
def builtin_only(model: Any, unrolled: bool) -> Iterator[None]:
    """Trace a model with the rewrites of this file.

    Args:
        model: a Keras model under TensorFlow.
        unrolled: have recurrent layers traced step by step, so that the batch can stay dynamic.
    """
    import keras
    from keras.src import backend
    from keras.src.backend.tensorflow import nn, numpy
    from keras.src.utils import tf_utils

    recurrent = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.RNN)]
    with contextlib.ExitStack() as stack:
        for layer in recurrent:
            stack.enter_context(held(layer, "unroll", unrolled or layer.unroll))
        stack.enter_context(patched(nn, "_apply_masks", _masked))
        stack.enter_context(patched(nn, "conv_transpose", operations.without_dilation))
        stack.enter_context(patched(numpy, "repeat", operations.with_known_channels))
        stack.enter_context(patched(numpy, "absolute", operations.by_negation))
        stack.enter_context(patched(numpy, "roll", operations.by_slices))
        stack.enter_context(patched(numpy, "signbit", operations.without_bits))
        stack.enter_context(patched(backend, "rnn", operations.reversed_first))
        stack.enter_context(patched(tf_utils, "tf_encode_categorical_inputs", lambda own: _no_shortcut))
        yield


def _masked(original: Any) -> Any:
    """Return Keras' masking of attention, causal without a slice that adds two axes to a dynamic length."""

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

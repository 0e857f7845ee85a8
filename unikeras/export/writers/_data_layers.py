"""Preprocessing layers under TensorFlow as the other backends run them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np


@contextlib.contextmanager
def integers_stay() -> Iterator[None]:
    """Have layers such as Resizing keep integers, and round to them, in a graph of TensorFlow too.

    There Keras takes the graph for a tf.data pipeline and casts what comes in to floats
    (keras/src/layers/preprocessing/data_layer.py), which JAX and PyTorch do not.
    """
    from keras import layers
    from keras.src.layers.preprocessing import data_layer

    original, transform = data_layer.backend_utils, layers.Resizing._transform_images
    data_layer.backend_utils = SimpleNamespace(**{**vars(original), "in_tf_graph": lambda: False})
    layers.Resizing._transform_images = _in_floats(transform)
    try:
        yield
    finally:
        data_layer.backend_utils, layers.Resizing._transform_images = original, transform


def _in_floats(transform: Any) -> Any:
    """Return Resizing's work on floats, rounded at the end: neither LiteRT nor ONNX resizes integers."""

    from keras import ops

    def _transform_images(self: Any, images: Any, *args: Any, **kwargs: Any) -> Any:
        dtype = str(images.dtype.name if hasattr(images.dtype, "name") else images.dtype)
        if "int" not in dtype:
            return transform(self, images, *args, **kwargs)
        resized = transform(self, ops.cast(images, "float32"), *args, **kwargs)
        limits = np.iinfo(dtype)
        return ops.cast(ops.clip(ops.round(resized), limits.min, limits.max), dtype)

    return _transform_images

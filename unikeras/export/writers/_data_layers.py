"""Preprocessing layers under TensorFlow as the other backends run them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from unikeras._keras.patched import held, patched

_local = threading.local()


@contextlib.contextmanager
def integers_stay() -> Iterator[None]:
    """Have layers such as Resizing keep integers, and round to them, in a graph of TensorFlow too, in this thread.

    There Keras takes the graph for a tf.data pipeline and casts what comes in to floats
    (keras/src/layers/preprocessing/data_layer.py), which JAX and PyTorch do not.
    """
    from keras import layers
    from keras.src.layers.preprocessing import data_layer
    from keras.src.utils import backend_utils

    def in_tf_graph() -> bool:
        return not getattr(_local, "is_inside", False) and backend_utils.in_tf_graph()

    utils = SimpleNamespace(**{**vars(backend_utils), "in_tf_graph": in_tf_graph})
    outer, _local.is_inside = getattr(_local, "is_inside", False), True
    try:
        with (
            held(data_layer, "backend_utils", utils),
            patched(layers.Resizing, "_transform_images", _in_floats),
        ):
            yield
    finally:
        _local.is_inside = outer


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

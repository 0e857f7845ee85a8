"""Keras asks for TensorFlow whenever it writes or reads a config; seconds that only TensorFlow's users owe."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from unikeras._keras.patched import held


@contextlib.contextmanager
def without_tensorflow() -> Iterator[None]:
    """Let Keras take TensorFlow for absent inside the block, unless something has imported it.

    Keras looks for TensorFlow's types among the values of a config, and imports TensorFlow for that on every
    backend. Where nobody has imported it, there are none.
    """
    from keras.src.utils.module_utils import tensorflow

    untouched = tensorflow.name not in sys.modules and not getattr(tensorflow, "_available", True)
    with held(tensorflow, "_available", False) if untouched else contextlib.nullcontext():
        yield

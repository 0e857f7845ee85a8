"""Profiles on TensorFlow: its own, for TensorBoard's profile plugin."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import tensorflow as tf


@contextlib.contextmanager
def profile(folder: Path) -> Iterator[None]:
    tf.profiler.experimental.start(str(folder))
    try:
        yield
    finally:
        tf.profiler.experimental.stop()


def step(name: str, number: int) -> AbstractContextManager[Any]:
    annotation: AbstractContextManager[Any] = tf.profiler.experimental.Trace(name, step_num=number, _r=1)
    return annotation

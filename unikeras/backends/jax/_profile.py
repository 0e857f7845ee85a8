"""Profiles on JAX: XLA's own, for TensorBoard's profile plugin, and the same for Perfetto."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import jax


@contextlib.contextmanager
def profile(folder: Path) -> Iterator[None]:
    jax.profiler.start_trace(str(folder), create_perfetto_trace=True)
    try:
        yield
        (jax.device_put(0.0) + 0).block_until_ready()  # what is still running belongs to the record
    finally:
        jax.profiler.stop_trace()


def step(name: str, number: int) -> AbstractContextManager[Any]:
    annotation: AbstractContextManager[Any] = jax.profiler.StepTraceAnnotation(name, step_num=number)
    return annotation

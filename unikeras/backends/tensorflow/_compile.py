"""Programs on TensorFlow: one concrete function of flat tensors for each kind of call."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from unikeras.backends._base import Program
from unikeras.errors import StateError


def compile_program(
    f: Callable[[Sequence[Any]], list[Any]],
    shapes: Sequence[tuple[int | None, ...]],
    dtypes: Sequence[Any],
    jit_compile: bool | str,
) -> Program:
    """Trace `f` as a concrete function.

    Without autograph a Python `if` on a tensor is an error here as it is on JAX, and a traceback shows the
    user's own lines.
    """
    spec = [tf.TensorSpec(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
    xla = _worth_xla() if jit_compile == "auto" else bool(jit_compile)
    function = tf.function(lambda *tensors: f(tensors), jit_compile=xla or None, autograph=False)
    try:
        concrete = function.get_concrete_function(*spec)
    except ValueError as error:
        if "singleton tf.Variables" not in str(error):
            raise
        raise StateError(
            "a later run of the function creates variables; a compiled function may create variables in its first "
            "run only. Create them once (in `build`, or before the first call) and let every run find them"
        ) from error
    return Program(lambda tensors: list(concrete(*tensors)), writes=_writes(concrete.graph))


def _worth_xla() -> bool:
    """XLA on the CPU is slower for most models than TensorFlow's own kernels, and refuses some operations."""
    return False


def _writes(graph: Any) -> bool:
    # What only reads state has no need to wait for other threads.
    return any(
        operation.op_def.is_stateful and operation.type not in _READING
        for operation in graph.get_operations()
    )


_READING = ("ReadVariableOp", "ResourceGather", "Placeholder")


@contextlib.contextmanager
def eagerly() -> Iterator[None]:
    """Run tf.functions as Python."""
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)

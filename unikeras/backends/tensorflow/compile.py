"""Programs on TensorFlow: one concrete function of flat tensors for each kind of call."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import tensorflow as tf

from unikeras.backends._contract import Compiler, Program, TensorFunction, TraceFault
from unikeras.backends.tensorflow import _faults
from unikeras.backends.tensorflow._content import READING, look_into
from unikeras.errors import StateError

logger = logging.getLogger("unikeras")


class TensorflowCompiler(Compiler):
    """`tf.function`, without autograph; XLA on a GPU where it compiles."""

    dynamic_axes = True

    def compile(
        self,
        f: TensorFunction,
        shapes: Sequence[tuple[int | None, ...]],
        dtypes: Sequence[Any],
        jit_compile: bool | str,
        donate: bool = True,
        sizes: Sequence[tuple[int, ...]] | None = None,
    ) -> Program:
        from unikeras.backends.tensorflow import _control_flow

        _control_flow.install()
        return compile_program(f, shapes, dtypes, jit_compile)

    def disable_compile(self) -> AbstractContextManager[None]:
        return _run_eagerly()

    def is_tracing(self) -> bool:
        return bool(tf.inside_function())

    def trace_fault(self, error: BaseException) -> TraceFault | None:
        return _faults.fault(error)


def compile_program(
    f: TensorFunction,
    shapes: Sequence[tuple[int | None, ...]],
    dtypes: Sequence[Any],
    jit_compile: bool | str,
) -> Program:
    """Trace `f` as a concrete function.

    Without autograph a Python `if` on a tensor is an error here as it is on JAX, and a traceback shows the
    user's own lines.
    """
    spec = [tf.TensorSpec(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
    if jit_compile == "auto" and _worth_xla():
        return _with_xla_where_it_compiles(f, spec)
    concrete = _traced(f, spec, xla=jit_compile is True)
    return Program(
        lambda tensors: list(concrete(*tensors)), _writes(concrete.graph), lambda: look_into(concrete.graph)
    )


def _worth_xla() -> bool:
    """XLA on the CPU is slower for most models than TensorFlow's own kernels."""
    return bool(tf.config.list_physical_devices("GPU"))


def _with_xla_where_it_compiles(f: TensorFunction, spec: Sequence[Any]) -> Program:
    concrete = _traced(f, spec, xla=True)
    writes = _writes(concrete.graph)
    has_run = False

    def run(tensors: Sequence[Any]) -> list[Any]:
        nonlocal concrete, has_run
        if not has_run:
            try:
                return list(concrete(*tensors))
            except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
                # What XLA refuses it refuses before it runs anything, so nothing was assigned yet.
                if "XLA" not in str(error) and "compil" not in str(error):
                    raise
                logger.info("XLA does not compile a function, which runs without it: %s", error.message)
                concrete = _traced(f, spec, xla=False)
            finally:
                has_run = True
        return list(concrete(*tensors))

    return Program(run, writes, lambda: look_into(concrete.graph))


def _traced(f: TensorFunction, spec: Sequence[Any], xla: bool) -> Any:
    function = tf.function(lambda *tensors: f(tensors), jit_compile=xla or None, autograph=False)
    try:
        return function.get_concrete_function(*spec)
    except ValueError as error:
        if "singleton tf.Variables" not in str(error):
            raise
        raise StateError(
            "a later run of the function creates variables; a compiled function may create variables in its first "
            "run only. Create them once (in `build`, or before the first call) and let every run find them"
        ) from error


def _writes(graph: Any) -> bool:
    # What only reads state has no need to wait for other threads.
    return any(
        operation.op_def.is_stateful and operation.type not in READING for operation in graph.get_operations()
    )


@contextlib.contextmanager
def _run_eagerly() -> Iterator[None]:
    """Run tf.functions as Python."""
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)

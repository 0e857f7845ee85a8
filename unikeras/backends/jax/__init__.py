"""The JAX backend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import jax
import numpy as np
from jax.experimental.sparse import JAXSparse

from unikeras.backends._contract import (
    Backend,
    Composite,
    FlatFunction,
    KeptValue,
    Program,
    Pullback,
    Tape,
    TraceFault,
)
from unikeras.errors import TransformError


class JaxBackend(Backend):
    """JAX: a tape that is a trace of its own, and jit with the state donated."""

    name = "jax"
    free_axes = False
    recurrence_begins_with_state = True

    def version(self) -> str:
        return str(jax.__version__)

    def devices(self) -> list[str]:
        return [f"{device.platform}:{device.id}" for device in jax.devices()]

    def is_tensor(self, value: Any) -> bool:
        return isinstance(value, jax.Array)

    def parts(self, value: Any) -> tuple[Composite, list[Any]] | None:
        if not isinstance(value, JAXSparse):
            return None
        parts, kind = jax.tree.flatten(value)
        return Composite(kind, len(parts), jax.tree.unflatten), parts

    def children(self, value: Any) -> tuple[Composite, list[Any]] | None:
        if jax.tree_util.all_leaves([value]):
            return None
        children, kind = jax.tree.flatten(value, is_leaf=lambda part: part is not value)
        return Composite(kind, len(children), jax.tree.unflatten), children

    def to_numpy(self, tensor: Any) -> np.ndarray[Any, Any]:
        return np.asarray(tensor)

    def synchronize(self, *values: Any) -> None:
        jax.block_until_ready(values)

    def tape(self, persistent: bool, watch_accessed_variables: bool) -> Tape:
        from unikeras.backends.jax._tape import JaxTape

        self.prepare()
        return JaxTape(persistent)

    def no_grad(self) -> AbstractContextManager[None]:
        from unikeras.backends.jax import _trace

        return _trace.all_paused()

    def native_vjp(self) -> None:
        return None  # a tape is a trace, and traces nest

    def jvp(
        self, f: FlatFunction, primals: Sequence[Any], tangents: Sequence[Any]
    ) -> tuple[list[Any], list[Any], list[Any]]:
        try:
            return jax.jvp(lambda *values: f(values), tuple(primals), tuple(tangents), has_aux=True)
        except TypeError as error:
            if "custom_vjp" not in str(error):
                raise
            raise TransformError(
                "a function with a gradient of its own (uk.custom_gradient) has no derivative that runs forward on "
                "JAX; use uk.vjp or uk.jacobian, or uk.grad of uk.grad in place of uk.hvp"
            ) from error

    def custom_gradient(
        self, run: Callable[[Sequence[Any]], tuple[list[Any], Pullback]], inputs: Sequence[Any]
    ) -> list[Any]:
        from unikeras.backends.jax import _custom

        return _custom.custom_gradient(run, inputs)

    def vmap(self, f: Callable[[Sequence[Any]], list[Any]], batched: Sequence[Any]) -> list[Any]:
        return jax.vmap(lambda *elements: f(elements))(*batched)

    def remat(self, f: Callable[[Sequence[Any]], list[Any]], tensors: Sequence[Any]) -> list[Any]:
        return list(jax.checkpoint(f)(list(tensors)))

    def is_symbolic(self, value: Any) -> bool:
        return isinstance(value, jax.core.Tracer)

    def is_tracing(self) -> bool:
        from keras.src.backend import in_stateless_scope

        return bool(in_stateless_scope())

    def trace_fault(self, error: BaseException) -> TraceFault | None:
        from unikeras.backends.jax import _faults

        return _faults.fault(error)

    def program_input(self, array: Any) -> Any:
        return array

    def compile(
        self,
        f: Callable[[Sequence[Any]], list[Any]],
        shapes: Sequence[tuple[int | None, ...]],
        dtypes: Sequence[Any],
        jit_compile: bool | str,
        donate: bool = True,
    ) -> Program:
        from unikeras.backends.jax import _scope
        from unikeras.backends.jax._compile import compile_program

        _scope.install()
        return compile_program(f, shapes, dtypes, donate)

    def untraced(self, f: Callable[..., Any], jit_compile: bool | str) -> Callable[..., Any] | None:
        return f if jit_compile is False else None

    def prepare(self) -> None:
        from unikeras.backends.jax import _control_flow

        _control_flow.install()

    def eager(self) -> AbstractContextManager[None]:
        return jax.disable_jit()

    def observed(self, tensor: Any, see: Callable[[Any], None]) -> Any:
        @jax.custom_vjp
        def identity(x: Any) -> Any:
            return x

        def backward(_: None, upstream: Any) -> tuple[Any]:
            see(upstream)
            return (upstream,)

        # jax.custom_gradient would trace the backward pass, and show it no values.
        identity.defvjp(lambda x: (x, None), backward)
        return identity(tensor)

    def batches(self, adapter: Any) -> Iterable[Any]:
        from keras.src.backend.jax.trainer import JAXEpochIterator

        # Keras' own: it brings batches to the device ahead of the step, and distributes them.
        batches = object.__new__(JAXEpochIterator)
        batches.data_adapter = adapter
        return batches._get_iterator()

    def recurrence(
        self, cell: str, x: Any, states: Sequence[Any], mask: Any | None, weights: Sequence[Any]
    ) -> tuple[Any, list[Any]] | None:
        from unikeras.backends.jax import _recurrence

        return _recurrence.recurrence(cell, x, states, mask, weights)

    def set_training(self, model: Any, training: bool) -> None:
        pass

    def keep(self, variable: Any) -> KeptValue:
        old = variable._value

        def restore() -> None:
            variable._value = old

        return KeptValue(restore)


def create() -> JaxBackend:
    """Return the backend; the registry calls this once."""
    return JaxBackend()

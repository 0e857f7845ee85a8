"""Derivatives on JAX: a tape that is a trace of its own, and JAX's transforms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import jax

from unikeras.backends._contract import Autodiff, BackendTape, FlatFunction, Pullback
from unikeras.backends.jax import _custom_pullbacks, _trace
from unikeras.errors import TransformError


class JaxAutodiff(Autodiff):
    """A recording trace, `jax.jvp`, `jax.vmap` and `jax.checkpoint`."""

    def tape(self, persistent: bool, watch_accessed_variables: bool) -> BackendTape:
        from unikeras.backends.jax import _control_flow
        from unikeras.backends.jax._tape import JaxTape

        _control_flow.install()
        return JaxTape(persistent)

    def no_grad(self) -> AbstractContextManager[None]:
        return _trace.all_paused()

    def with_gradient_hook(self, tensor: Any, hook: Callable[[Any], None]) -> Any:
        @jax.custom_vjp
        def identity(x: Any) -> Any:
            return x

        def backward(_: None, upstream: Any) -> tuple[Any]:
            hook(upstream)
            return (upstream,)

        # jax.custom_gradient would trace the backward pass, and show it no values.
        identity.defvjp(lambda x: (x, None), backward)
        return identity(tensor)

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
        return _custom_pullbacks.custom_gradient(run, inputs)

    def vmap(self, f: Callable[[Sequence[Any]], list[Any]], batched: Sequence[Any]) -> list[Any]:
        return jax.vmap(lambda *elements: f(elements))(*batched)

    def remat(self, f: Callable[[Sequence[Any]], list[Any]], tensors: Sequence[Any]) -> list[Any]:
        return list(jax.checkpoint(f)(list(tensors)))

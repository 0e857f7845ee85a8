"""A function with a pullback of its own, whose result has that derivative at every order.

`jax.custom_gradient` differentiates a backward pass through the function's computation, the result included: where
what follows uses the result on its way back, the second derivative would have the function's own first derivative
in it. Here the result that the outer level sees has the pullback attached again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from unikeras.backends._contract import Pullback
from unikeras.backends.jax import _trace

Run = Callable[[Sequence[Any]], tuple[list[Any], Pullback]]


def custom_gradient(run: Run, inputs: Sequence[Any]) -> list[Any]:
    """Run a function of flat tensors that brings its own pullback."""

    @jax.custom_vjp
    def call(*values: Any) -> list[Any]:
        return run(values)[0]

    staged: list[_StagedPullback] = []

    def forward(*values: Any) -> tuple[list[Any], list[Any]]:
        outputs, pullback = run(values)
        staged.append(_StagedPullback(pullback, outputs))
        return staged[-1].attach(outputs, staged[-1].residuals, values), staged[-1].residuals

    def backward(residuals: Sequence[Any], upstream: Sequence[Any]) -> tuple[Any, ...]:
        return staged[-1].pull(residuals, upstream)

    call.defvjp(forward, backward)
    return list(call(*inputs))


class _StagedPullback:
    """A pullback as a program of what it keeps from the forward pass, and of what arrives."""

    def __init__(self, pullback: Pullback, outputs: Sequence[Any]) -> None:
        self._inexact = [bool(jnp.issubdtype(jnp.result_type(y), jnp.inexact)) for y in outputs]
        self._present: list[bool] = []

        def of_inexact(*upstream: Any) -> list[Any]:
            remaining = iter(upstream)
            found = pullback([next(remaining) if inexact else None for inexact in self._inexact])
            self._present = [gradient is not None for gradient in found]
            return [gradient for gradient in found if gradient is not None]

        program = jax.make_jaxpr(of_inexact)(*self._of_inexact(outputs))
        self._jaxpr, self.residuals = program.jaxpr, list(program.consts)

    def _of_inexact(self, values: Sequence[Any]) -> list[Any]:
        return [value for value, inexact in zip(values, self._inexact, strict=True) if inexact]

    def pull(self, residuals: Sequence[Any], upstream: Sequence[Any]) -> tuple[Any, ...]:
        found = iter(jax.core.eval_jaxpr(self._jaxpr, residuals, *self._of_inexact(upstream)))
        return tuple(next(found) if present else None for present in self._present)

    def attach(self, outputs: Sequence[Any], residuals: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
        """Return the outputs with this pullback to the inputs, and no other way back."""

        @jax.custom_vjp
        def attached(outputs: Any, _: Any, __: Any) -> Any:
            return outputs

        def forward(outputs: Any, residuals: Any, inputs: Any) -> Any:
            return self.attach(outputs, residuals, inputs), residuals

        attached.defvjp(forward, lambda kept, upstream: (None, None, self.pull(kept, upstream)))
        # Zeros for these would run back through the function, and become NaN where its own derivative is infinite.
        outputs, residuals = _trace.separated(outputs), _trace.separated(residuals)
        return list(attached(list(outputs), list(residuals), tuple(inputs)))

"""LSTM and GRU as scans, with a hand-written derivative.

JAX differentiates a scan step by step: on the way back each step adds its part to the gradients of the weights, as a
matrix of their size. What a step's derivative multiplies is known once the scan has run, so all that does not depend on
the derivative of the state before is computed for all steps at once, and the scan of the derivative is left with one
product. Said forward (`jax.custom_jvp`), it serves both directions and every order: JAX transposes it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from unikeras.backends._contract import Kernels

Array = Any
Result = tuple[Array, list[Array]]


class JaxKernels(Kernels):
    """Scans with a hand-written derivative."""

    recurrence_begins_with_state = True
    convolves_groups = True

    def recurrence(
        self, cell: str, x: Any, states: Sequence[Any], mask: Any | None, weights: Sequence[Any]
    ) -> tuple[Any, list[Any]] | None:
        return recurrence(cell, x, states, mask, weights)


class Cell(NamedTuple):
    """One kind of step, and its derivative.

    Attributes:
        step: takes what comes from the input and from the state, and the states; returns new states and what
            `linear` needs of the step.
        linear: takes the states before and after all steps, what `step` kept, the mask, and the derivatives of what
            came from input and state, apart from that of the state before; returns what one step of the derivative
            takes.
        push: one step of the derivative: takes the derivatives of the states, of what comes from them, and the
            step's part of `linear`; returns those of the new states.
    """

    step: Callable[..., tuple[list[Array], Any]]
    linear: Callable[..., Any]
    push: Callable[..., list[Array]]


def recurrence(
    cell: str, x: Array, states: Sequence[Array], mask: Array | None, weights: Sequence[Array]
) -> Result | None:
    """Run over a sequence; arguments and result are those of `Backend.recurrence`."""
    if jax.default_backend() == "gpu" and cell == "lstm" and mask is None and len(weights) == 3:
        return None  # Keras calls cuDNN
    return _by_name(cell, x, mask, list(states), list(weights))


@functools.partial(jax.jit, static_argnums=0)
def _by_name(cell: str, x: Array, mask: Array | None, states: list[Array], weights: list[Array]) -> Result:
    x = jnp.swapaxes(x, 0, 1)
    if mask is not None:
        mask = jnp.swapaxes(mask, 0, 1)[..., None]
        x = jnp.where(mask, x, 0)  # what stands there may be nan
    outputs, last = _RECURRENCES[cell](x, mask, states, weights)
    return jnp.swapaxes(outputs, 0, 1), last


def _recurrence(cell: Cell) -> Callable[..., Result]:
    """Return a function of (time, batch, features), a mask (time, batch, 1), states and weights."""

    @jax.custom_jvp
    def run(x: Array, mask: Array | None, states: list[Array], weights: list[Array]) -> Result:
        after, last, _ = _forward(cell, x, mask, states, weights)
        return after[0], last

    @functools.partial(run.defjvp, symbolic_zeros=True)
    def _(primals: Any, tangents: Any) -> tuple[Result, Result]:
        x, mask, states, weights = primals
        after, last, kept = _forward(cell, x, mask, states, weights)
        moved = _derivative(cell, primals, tangents, after, kept)
        return (after[0], last), moved

    return run


def _forward(
    cell: Cell, x: Array, mask: Array | None, states: list[Array], weights: list[Array]
) -> tuple[list[Array], list[Array], Any]:
    """Return the states after every step, the last of them, and what the steps kept."""
    bias, recurrent_bias = _biases(weights)

    def one(now: list[Array], arriving: Any) -> Any:
        x, counts = arriving
        # One product for all steps would be one more pass over memory: XLA's CPU kernels take longer that way.
        new, kept = cell.step(x @ weights[0] + bias, now[0] @ weights[1] + recurrent_bias, now)
        if counts is not None:
            new = [jnp.where(counts, a, b) for a, b in zip(new, now, strict=True)]
        return new, (new, kept)

    last, (after, kept) = jax.lax.scan(one, states, (x, mask))
    return after, last, kept


def _derivative(cell: Cell, primals: Any, tangents: Any, after: list[Array], kept: Any) -> Result:
    x, mask, states, weights = primals
    dx, _, dstates, dweights = tangents
    before = [jnp.concatenate([s[None], a[:-1]]) for s, a in zip(states, after, strict=True)]
    dbias, drecurrent_bias = _biases(dweights) if len(weights) == 3 else (0.0, 0.0)
    from_input = _product(dx, weights[0]) + _product(x, dweights[0]) + dbias
    from_state = _product(before[0], dweights[1]) + drecurrent_bias
    shape = (*x.shape[:2], weights[0].shape[1])
    from_input, from_state = (jnp.broadcast_to(part, shape) for part in (from_input, from_state))

    def one(now: list[Array], arriving: Any) -> Any:
        new = cell.push(now, now[0] @ weights[1], arriving)
        return new, new[0]

    first = [_filled(moved, state) for moved, state in zip(dstates, states, strict=True)]
    last, outputs = jax.lax.scan(one, first, cell.linear(before, after, kept, mask, from_input, from_state))
    return outputs, last


def _biases(weights: Sequence[Any]) -> tuple[Any, Any]:
    """Return what is added to what comes from the input, and from the state."""
    if len(weights) < 3 or _is_zero(weights[2]):
        return 0.0, 0.0
    bias = weights[2]
    return (bias[0], bias[1]) if bias.ndim == 2 else (bias, 0.0)


def _is_zero(tangent: Any) -> bool:
    return isinstance(tangent, jax.custom_derivatives.SymbolicZero)


def _product(a: Any, b: Any) -> Any:
    return 0.0 if _is_zero(a) or _is_zero(b) else a @ b


def _filled(tangent: Any, primal: Array) -> Array:
    return jnp.zeros_like(primal) if _is_zero(tangent) else tangent


def _keeping(mask: Array | None, scale: Array, *others: Array) -> tuple[Array, ...]:
    """Return factors as they are where a step counts; else 1 for what keeps a state, and 0 for all others."""
    if mask is None:
        return scale, *others
    return jnp.where(mask, scale, 1), *(jnp.where(mask, other, 0) for other in others)


def _lstm_step(from_input: Array, from_state: Array, states: list[Array]) -> tuple[list[Array], Any]:
    i, f, g, o = jnp.split(from_input + from_state, 4, -1)
    i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
    c = f * states[1] + i * g
    return [o * jnp.tanh(c), c], jnp.concatenate([i, f, g, o], -1)


def _lstm_linear(
    before: list[Array], after: list[Array], gates: Array, mask: Array | None, *moved: Array
) -> Any:
    i, f, g, o = jnp.split(gates, 4, -1)
    tanh = jnp.tanh(after[1])
    factors = jnp.concatenate(
        [g * i * (1 - i), before[1] * f * (1 - f), i * (1 - g**2), tanh * o * (1 - o)], -1
    )
    keep, factors, of_cell = _keeping(mask, f, factors, o * (1 - tanh**2))
    to_i, to_f, to_g, to_o = jnp.split(factors * (moved[0] + moved[1]), 4, -1)
    stays = None if mask is None else 1 - mask.astype(gates.dtype)
    return to_i + to_f + to_g, to_o, factors, keep, of_cell, stays


def _lstm_push(now: list[Array], from_state: Array, arriving: Any) -> list[Array]:
    to_cell, to_output, factors, keep, of_cell, stays = arriving
    to_i, to_f, to_g, to_o = jnp.split(factors * from_state, 4, -1)
    c = keep * now[1] + to_cell + to_i + to_f + to_g
    h = of_cell * c + to_output + to_o
    return [h if stays is None else h + stays * now[0], c]


def _gru_step(from_input: Array, from_state: Array, states: list[Array]) -> tuple[list[Array], Any]:
    (zx, rx, nx), (zh, rh, nh) = jnp.split(from_input, 3, -1), jnp.split(from_state, 3, -1)
    z, r = jax.nn.sigmoid(zx + zh), jax.nn.sigmoid(rx + rh)
    n = jnp.tanh(nx + r * nh)
    return [z * states[0] + (1 - z) * n], (jnp.concatenate([z, r, n, nh], -1))


def _gru_linear(
    before: list[Array], after: list[Array], kept: Array, mask: Array | None, *moved: Array
) -> Any:
    z, r, n, nh = jnp.split(kept, 4, -1)
    of_n = (1 - z) * (1 - n**2)
    factors = jnp.concatenate([(before[0] - n) * z * (1 - z), of_n * nh * r * (1 - r), of_n * r], -1)
    keep, factors, of_n = _keeping(mask, z, factors, of_n)
    (zx, rx, nx), of_state = jnp.split(moved[0], 3, -1), jnp.split(factors * moved[1], 3, -1)
    of_z, of_r, _ = jnp.split(factors, 3, -1)
    return of_z * zx + of_r * rx + of_n * nx + sum(of_state), factors, keep


def _gru_push(now: list[Array], from_state: Array, arriving: Any) -> list[Array]:
    to_output, factors, keep = arriving
    return [keep * now[0] + to_output + sum(jnp.split(factors * from_state, 3, -1))]


_RECURRENCES = {
    "lstm": _recurrence(Cell(_lstm_step, _lstm_linear, _lstm_push)),
    "gru": _recurrence(Cell(_gru_step, _gru_linear, _gru_push)),
}

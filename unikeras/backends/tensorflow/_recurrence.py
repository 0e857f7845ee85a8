"""LSTM and GRU as loops, with a backward pass by hand.

TensorFlow differentiates a loop step by step: it keeps every intermediate value, and each step on the way back adds its
part to the gradients of the weights, as a matrix of their size. Here the input is projected for all steps at once, the
loop on the way back has one product to do, and the gradients of the weights are one product over all steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow.python.eager import record

Tensor = Any
Result = tuple[Tensor, list[Tensor]]


class Cell(NamedTuple):
    """One kind of step, and its derivative.

    Attributes:
        step: takes what comes from the input and from the state, and the states; returns new states and what
            `factors` needs of the step.
        kept: the sizes of what it keeps, in units.
        factors: takes the states before and after all steps and what the steps kept; returns what one step on the
            way back needs.
        back: one step on the way back: takes the gradients of the states and its part of `factors`; returns the
            gradients of what came from the input and from the state (one, where they are the same) and, apart from
            these, of the states before.
        gradients: how many those of what came are.
    """

    step: Callable[..., tuple[list[Tensor], list[Tensor]]]
    kept: tuple[int, ...]
    factors: Callable[..., list[Tensor]]
    back: Callable[..., tuple[list[Tensor], list[Tensor]]]
    gradients: int


def recurrence(
    cell: str, x: Tensor, states: Sequence[Tensor], mask: Tensor | None, weights: Sequence[Tensor]
) -> Result | None:
    """Run over a sequence; arguments and result are those of `Backend.recurrence`."""
    if mask is None and len(weights) == 3 and tf.config.list_logical_devices("GPU"):
        return None  # Keras calls cuDNN
    if mask is not None:
        x = tf.where(mask[..., None], x, tf.zeros_like(x))  # what stands there may be nan
        mask = tf.transpose(mask)[..., None]
    kernel, recurrent, *bias = weights
    from_bias, recurrent_bias = _biases(cell, kernel, bias)
    projected = tf.matmul(tf.transpose(x, (1, 0, 2)), kernel) + from_bias
    run = _differentiable if record.could_possibly_record() else _plain
    outputs, *last = run(_CELLS[cell], projected, mask, recurrent, recurrent_bias, *states)
    return tf.transpose(outputs, (1, 0, 2)), last


def _biases(cell: str, kernel: Tensor, bias: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return what is added to what comes from the input, and from the state."""
    if bias and cell == "gru":
        return bias[0][0], bias[0][1]
    zeros = tf.zeros((kernel.shape[1],), kernel.dtype)
    return (bias[0] if bias else zeros), zeros


def _plain(
    cell: Cell, projected: Tensor, mask: Tensor | None, recurrent: Tensor, bias: Tensor, *states: Tensor
) -> list[Tensor]:
    (outputs,), last = _forward(cell, projected, mask, recurrent, bias, list(states), lambda new, _: new[:1])
    return [outputs, *last]


def _differentiable(
    cell: Cell, projected: Tensor, mask: Tensor | None, recurrent: Tensor, bias: Tensor, *states: Tensor
) -> list[Tensor]:
    @tf.custom_gradient
    def run(projected: Tensor, recurrent: Tensor, bias: Tensor, *states: Tensor) -> Any:
        stacked, last = _forward(
            cell, projected, mask, recurrent, bias, list(states), lambda new, kept: [*new, *kept]
        )
        after, kept = stacked[: len(states)], stacked[len(states) :]

        def backward(of_outputs: Tensor, *of_last: Tensor) -> list[Tensor]:
            before = [tf.concat([s[None], a[:-1]], 0) for s, a in zip(states, after, strict=True)]
            factors = cell.factors(before, after, kept)
            from_input, from_state, of_states = _backward(
                cell, of_outputs, list(of_last), factors, mask, recurrent
            )
            flat = tf.reshape(from_state, (-1, from_state.shape[-1]))
            of_recurrent = tf.matmul(tf.reshape(before[0], (-1, before[0].shape[-1])), flat, transpose_a=True)
            return [from_input, of_recurrent, tf.reduce_sum(flat, 0), *of_states]

        return [after[0], *last], backward

    return list(run(projected, recurrent, bias, *states))


def _forward(
    cell: Cell,
    projected: Tensor,
    mask: Tensor | None,
    recurrent: Tensor,
    bias: Tensor,
    states: list[Tensor],
    wanted: Callable[[list[Tensor], list[Tensor]], list[Tensor]],
) -> tuple[list[Tensor], list[Tensor]]:
    """Run over all steps; return what is wanted of each, stacked, and the last states."""

    def one(now: list[Tensor], from_input: Tensor, *counts: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        new, kept = cell.step(from_input, tf.matmul(now[0], recurrent) + bias, now)
        if counts:
            new = [tf.where(counts[0], a, b) for a, b in zip(new, now, strict=True)]
        return new, wanted(new, kept)

    units = [1] * len(states)
    sizes = [size * states[0].shape[-1] for size in wanted(units, list(cell.kept))]
    return _loop(one, states, [projected, *([] if mask is None else [mask])], sizes)


def _backward(
    cell: Cell,
    of_outputs: Tensor,
    of_last: list[Tensor],
    factors: list[Tensor],
    mask: Tensor | None,
    recurrent: Tensor,
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Run over all steps, last to first; return the gradients of what came from input and state, and of the states."""

    def one(of_new: list[Tensor], of_output: Tensor, *rest: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        of_new = [of_new[0] + of_output, *of_new[1:]]
        factors, counts = (rest, None) if mask is None else (rest[:-1], rest[-1])
        gradients, of_before = cell.back(of_new, *factors)
        if counts is not None:
            gradients = [tf.where(counts, gradient, tf.zeros_like(gradient)) for gradient in gradients]
            of_before = [tf.where(counts, a, b) for a, b in zip(of_before, of_new, strict=True)]
        of_before[0] += tf.matmul(gradients[-1], recurrent, transpose_b=True)
        return of_before, gradients

    masks = [] if mask is None else [mask]
    sizes = [recurrent.shape[-1]] * cell.gradients
    stacked, of_states = _loop(one, of_last, [of_outputs, *factors, *masks], sizes, reverse=True)
    return stacked[0], stacked[-1], of_states


def _loop(
    one: Callable[..., tuple[list[Tensor], list[Tensor]]],
    carried: list[Tensor],
    arriving: list[Tensor],
    sizes: list[int],
    reverse: bool = False,
) -> tuple[list[Tensor], list[Tensor]]:
    """Carry tensors over the first axis of others; return what each step gives, stacked, and what is carried last."""
    steps = arriving[0].shape[0] or tf.shape(arriving[0])[0]
    batch = carried[0].shape[0]
    given = [
        tf.TensorArray(carried[0].dtype, steps, element_shape=(batch, size), clear_after_read=False)
        for size in sizes
    ]

    def body(number: Tensor, given: list[Any], now: list[Tensor]) -> Any:
        place = steps - 1 - number if reverse else number
        now, results = one(now, *(tensor[place] for tensor in arriving))
        given = [array.write(place, result) for array, result in zip(given, results, strict=True)]
        return number + 1, given, now

    _, given, carried = tf.while_loop(
        lambda number, *_: number < steps, body, (0, given, carried), maximum_iterations=steps
    )
    return [array.stack() for array in given], list(carried)


def _lstm_step(
    from_input: Tensor, from_state: Tensor, states: list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    total = from_input + from_state
    gates = tf.sigmoid(total)
    i, f, _, o = tf.split(gates, 4, -1)
    g = tf.tanh(tf.split(total, 4, -1)[2])
    c = f * states[1] + i * g
    return [o * tf.tanh(c), c], [gates, g]


def _lstm_factors(before: list[Tensor], after: list[Tensor], kept: list[Tensor]) -> list[Tensor]:
    (i, f, _, o), g = tf.split(kept[0], 4, -1), kept[1]
    tanh = tf.tanh(after[1])
    parts = [g * i * (1 - i), before[1] * f * (1 - f), i * (1 - g**2), tanh * o * (1 - o)]
    return [tf.concat(parts, -1), f, o * (1 - tanh**2)]


def _lstm_back(
    of_new: list[Tensor], factors: Tensor, f: Tensor, of_cell: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    of_h, of_c = of_new
    of_c = of_c + of_cell * of_h
    of_gates = factors * tf.concat([of_c, of_c, of_c, of_h], -1)
    return [of_gates], [tf.zeros_like(of_h), f * of_c]


def _gru_step(
    from_input: Tensor, from_state: Tensor, states: list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    (zx, rx, nx), (zh, rh, nh) = tf.split(from_input, 3, -1), tf.split(from_state, 3, -1)
    z, r = tf.sigmoid(zx + zh), tf.sigmoid(rx + rh)
    n = tf.tanh(nx + r * nh)
    return [z * states[0] + (1 - z) * n], [z, r, n, nh]


def _gru_factors(before: list[Tensor], after: list[Tensor], kept: list[Tensor]) -> list[Tensor]:
    z, r, n, nh = kept
    of_n = (1 - z) * (1 - n**2)
    both = [(before[0] - n) * z * (1 - z), of_n * nh * r * (1 - r)]
    return [tf.concat([*both, of_n], -1), tf.concat([*both, of_n * r], -1), z]


def _gru_back(
    of_new: list[Tensor], from_input: Tensor, from_state: Tensor, z: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    three = tf.concat([of_new[0]] * 3, -1)
    return [from_input * three, from_state * three], [z * of_new[0]]


_CELLS = {
    "lstm": Cell(_lstm_step, (4, 1), _lstm_factors, _lstm_back, 1),
    "gru": Cell(_gru_step, (1, 1, 1, 1), _gru_factors, _gru_back, 2),
}

"""LSTM and GRU as loops, with a hand-written backward pass.

TensorFlow differentiates a loop step by step: each step on the way back adds its part to the gradients of the weights,
as a matrix of their size. Here these are one product over all steps, and so is the gradient of the input. The product
with the input stays in the loop forward: one core has it done ahead while another waits for the state.

`tf.raw_ops.BlockLSTMV2` is one operation for all steps forward, and is not used: on several cores its products take
longer than the loop, XLA and the formats of exports do not know it, and its gradient has no derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow.python.eager import record

from unikeras.backends._contract import Kernels

Tensor = Any
Result = tuple[Tensor, list[Tensor]]
# What a loop carries on, and what it returns for each step.
Step = tuple[list[Tensor], list[Tensor]]


class TensorflowKernels(Kernels):
    """Loops with a hand-written backward pass."""

    recurrence_begins_with_state = False
    convolves_groups = False  # on the CPU its XLA alone does

    def recurrence(
        self, cell: str, x: Any, states: Sequence[Any], mask: Any | None, weights: Sequence[Any]
    ) -> tuple[Any, list[Any]] | None:
        return recurrence(cell, x, states, mask, weights)


class Cell(NamedTuple):
    """One kind of step, and its derivative.

    Attributes:
        step: takes what comes from the input and from the state, and the states; returns new states and what `back`
            needs of the step: `kept` tensors of the size of a state.
        back: the step on the way back: takes the gradients of the new states and what `step` kept; returns the
            gradients of the old states, apart from what reaches them through the product (None for none), and
            the `gradients` of what came from the input and from the state: one, where they are the same.
    """

    step: Callable[..., Step]
    kept: int
    back: Callable[..., Step]
    gradients: int


def recurrence(
    cell: str, x: Tensor, states: Sequence[Tensor], mask: Tensor | None, weights: Sequence[Tensor]
) -> Result | None:
    """Run over a sequence; arguments and result are those of `Backend.recurrence`."""
    if mask is None and len(weights) == 3 and tf.config.list_logical_devices("GPU"):
        return None  # Keras calls cuDNN
    counts = None
    if mask is not None:
        x = tf.where(mask[..., None], x, tf.zeros_like(x))  # what stands there may be nan
        counts = _unstacked(tf.transpose(mask)[..., None])
    kernel, recurrent, *bias = weights
    biases = tf.unstack(bias[0]) if bias and cell == "gru" else bias
    run = _differentiable if record.could_possibly_record() else _plain
    x = tf.transpose(x, (1, 0, 2))
    outputs, *last = run(_CELLS[cell], counts, len(states), x, *states, kernel, recurrent, *biases)
    return tf.transpose(outputs, (1, 0, 2)), last


def _plain(cell: Cell, counts: Any, count: int, x: Tensor, *rest: Tensor) -> list[Tensor]:
    (outputs,), last = _forward(cell, counts, x, list(rest[:count]), rest[count:], kept=0)
    return [outputs.stack(), *last]


def _differentiable(cell: Cell, counts: Any, count: int, *tensors: Tensor) -> list[Tensor]:
    @tf.custom_gradient
    def run(x: Tensor, *rest: Tensor) -> Any:
        states, weights = list(rest[:count]), rest[count:]
        (outputs, *kept), last = _forward(cell, counts, x, states, weights, cell.kept)
        outputs = outputs.stack()
        ran_eagerly = tf.executing_eagerly()

        def backward(of_outputs: Tensor, *of_last: Tensor) -> list[Tensor]:
            known = [*kept, *([] if counts is None else [counts])]
            if ran_eagerly and not tf.executing_eagerly():
                # Arrays of eager code are lists, which a loop in a graph cannot read.
                known = [_unstacked(array.stack()) for array in known]
            now_counts = None if counts is None else known[-1]
            arrays, of_states = _backward(
                cell, now_counts, of_outputs, list(of_last), known[: cell.kept], weights
            )
            found = [array.stack() for array in arrays]
            of_x = tf.reshape(tf.matmul(_rows(found[0]), weights[0], transpose_b=True), tf.shape(x))
            before = tf.concat([states[0][None], outputs[:-1]], 0)
            of_weights = [_product(x, found[0]), _product(before, found[-1])]
            of_weights += [tf.reduce_sum(of, (0, 1)) for of in (found[0], found[-1])]
            return [of_x, *of_states, *of_weights[: len(weights)]]

        return [outputs, *last], backward

    return list(run(*tensors))


def _product(steps: Tensor, gradients: Tensor) -> Tensor:
    """Return the gradient of a matrix that every step was multiplied by."""
    return tf.matmul(_rows(steps), _rows(gradients), transpose_a=True)


def _rows(steps: Tensor) -> Tensor:
    return tf.reshape(steps, (-1, steps.shape[-1]))


def _forward(
    cell: Cell,
    counts: Any,
    x: Tensor,
    states: list[Tensor],
    weights: Sequence[Tensor],
    kept: int,
) -> tuple[list[Any], list[Tensor]]:
    """Run over all steps; return the outputs and so many things kept, as arrays, and the last states."""

    kernel, recurrent, *biases = weights

    def one(now: list[Tensor], x: Tensor, counts: Tensor | None) -> Step:
        from_input, from_state = tf.matmul(x, kernel), tf.matmul(now[0], recurrent)
        from_input = from_input + biases[0] if biases else from_input
        from_state = from_state + biases[1] if len(biases) > 1 else from_state
        new, seen = cell.step(from_input, from_state, now)
        new = _where(counts, new, now)
        return new, [new[0], *seen[:kept]]

    return _loop(one, states, _unstacked(x), [], counts, [states[0].shape[-1]] * (1 + kept))


def _backward(
    cell: Cell,
    counts: Any,
    of_outputs: Tensor,
    of_last: list[Tensor],
    kept: list[Any],
    weights: Sequence[Tensor],
) -> tuple[list[Any], list[Tensor]]:
    """Run over all steps, last to first.

    Returns:
        The gradients of what came from input and state, as arrays, and those of the first states.
    """
    recurrent = weights[1]
    of_product = tf.transpose(recurrent)  # once: a product that transposes does it again in each step

    def one(of_new: list[Tensor], of_output: Tensor, counts: Tensor | None, *kept: Tensor) -> Step:
        of_new = [of_new[0] + of_output, *of_new[1:]]
        of_before, found = cell.back(of_new, *kept)
        found = _where(counts, found, [tf.zeros_like(gradient) for gradient in found])
        of_h = tf.matmul(found[-1], of_product)
        of_before[0] = of_h if of_before[0] is None else of_before[0] + of_h
        # A step that does not count hands on what it gets.
        return _where(counts, of_before, of_new), found

    sizes = [recurrent.shape[1]] * cell.gradients
    return _loop(one, of_last, _unstacked(of_outputs), kept, counts, sizes, reverse=True)


def _where(counts: Tensor | None, new: list[Tensor], old: list[Tensor]) -> list[Tensor]:
    return new if counts is None else [tf.where(counts, a, b) for a, b in zip(new, old, strict=True)]


def _unstacked(steps: Tensor) -> Any:
    size = steps.shape[0] or tf.shape(steps)[0]
    return tf.TensorArray(steps.dtype, size, element_shape=steps.shape[1:], clear_after_read=False).unstack(
        steps
    )


def _loop(
    one: Callable[..., Step],
    carried: list[Tensor],
    arriving: Any,
    more: list[Any],
    counts: Any,
    sizes: list[int],
    reverse: bool = False,
) -> tuple[list[Any], list[Tensor]]:
    """Carry tensors over arrays of steps; return what each step gives, as arrays, and what is carried last."""
    steps = arriving.size()
    shape = carried[0].shape[0]
    given = [
        tf.TensorArray(carried[0].dtype, steps, element_shape=(shape, size), clear_after_read=False)
        for size in sizes
    ]

    def body(number: Tensor, given: list[Any], now: list[Tensor]) -> Any:
        place = steps - 1 - number if reverse else number
        here = None if counts is None else counts.read(place)
        now, results = one(now, arriving.read(place), here, *(array.read(place) for array in more))
        given = [array.write(place, result) for array, result in zip(given, results, strict=True)]
        return number + 1, given, now

    _, given, carried = tf.while_loop(
        lambda number, *_: number < steps,
        body,
        (0, given, carried),
        parallel_iterations=32,
        maximum_iterations=steps,
    )
    return list(given), list(carried)


def _lstm_step(from_input: Tensor, from_state: Tensor, states: list[Tensor]) -> Step:
    i, f, g, o = tf.split(from_input + from_state, 4, -1)
    i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
    c = f * states[1] + i * g
    tanh = tf.tanh(c)
    return [o * tanh, c], [i, f, g, o, tanh, states[1]]


def _lstm_back(
    of_new: list[Tensor], i: Tensor, f: Tensor, g: Tensor, o: Tensor, tanh: Tensor, c: Tensor
) -> Step:
    of_h, of_c = of_new
    of_c = of_c + _of_tanh(tanh, of_h * o)
    gates = [_of_sigmoid(i, of_c * g), _of_sigmoid(f, of_c * c), _of_tanh(g, of_c * i)]
    return [None, f * of_c], [tf.concat([*gates, _of_sigmoid(o, of_h * tanh)], -1)]


def _gru_step(from_input: Tensor, from_state: Tensor, states: list[Tensor]) -> Step:
    (zx, rx, nx), (zh, rh, nh) = tf.split(from_input, 3, -1), tf.split(from_state, 3, -1)
    z, r = tf.sigmoid(zx + zh), tf.sigmoid(rx + rh)
    n = tf.tanh(nx + r * nh)
    return [z * states[0] + (1 - z) * n], [z, r, n, nh, states[0]]


def _gru_back(of_new: list[Tensor], z: Tensor, r: Tensor, n: Tensor, nh: Tensor, h: Tensor) -> Step:
    (of_h,) = of_new
    of_z, of_n = _of_sigmoid(z, of_h * (h - n)), _of_tanh(n, of_h * (1 - z))
    of_r = _of_sigmoid(r, of_n * nh)
    return [z * of_h], [tf.concat([of_z, of_r, of_n], -1), tf.concat([of_z, of_r, of_n * r], -1)]


def _of_sigmoid(y: Tensor, gradient: Tensor) -> Tensor:
    return tf.raw_ops.SigmoidGrad(y=y, dy=gradient)


def _of_tanh(y: Tensor, gradient: Tensor) -> Tensor:
    return tf.raw_ops.TanhGrad(y=y, dy=gradient)


_CELLS = {"lstm": Cell(_lstm_step, 6, _lstm_back, 1), "gru": Cell(_gru_step, 5, _gru_back, 2)}

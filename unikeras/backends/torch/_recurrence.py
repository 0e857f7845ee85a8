"""LSTM and GRU as operators, each with one for its backward pass: oneDNN's and cuDNN's kernels, or loops of our own.

Torch's own functions cannot be part of a traced program: on the CPU they fall into many operators a step, and oneDNN's
LSTM keeps what its backward pass needs only where gradients are recorded, which no program does while it runs. To a
tracer, and to Inductor, the operators here are two opaque nodes. The backward operator has a derivative too, of the
steps written out.

The workspace that a forward operator returns is known to its backward operator alone. A kernel chooses the size of
its own, and the fake implementation gives it no elements, as torch's own do for `_cudnn_rnn` and `mkldnn_rnn_layer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from unikeras.backends.torch import _library_kernels as library
from unikeras.backends.torch import _loops
from unikeras.backends.torch._operator_registry import operator
from unikeras.backends.torch._steps import by_steps

# The weights of an LSTM are transposed, as its kernels want them: (4 units, features). The transposition is part of the
# program, which does it once for both directions. A GRU's are Keras', as our loop, its kernel on the CPU, wants them.


@operator
def lstm(
    x: Tensor, h: Tensor, c: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor | None, keep: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the outputs (batch, time, units), the last two states, and a workspace where one is to be kept."""
    if library.is_of_onednn(x):
        return library.onednn_lstm(x, h, c, library.lstm_weights(kernel, recurrent, bias), keep)
    if library.is_of_cudnn(x):
        weights = library.lstm_weights(kernel, recurrent, bias)
        outputs, (h, c), reserve = library.cudnn(library.LSTM, x, (h, c), weights, keep)
        return outputs, h, c, reserve
    outputs, h, c, workspace = _loops.lstm(x, h, c, kernel, recurrent, bias)
    return outputs, h, c, workspace if keep else x.new_empty(0)


@operator
def lstm_backward(
    of_outputs: Tensor | None,
    of_h: Tensor | None,
    of_c: Tensor | None,
    x: Tensor,
    h: Tensor,
    c: Tensor,
    kernel: Tensor,
    recurrent: Tensor,
    bias: Tensor | None,
    outputs: Tensor,
    last_h: Tensor,
    last_c: Tensor,
    workspace: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of x, h, c, kernel, recurrent kernel and bias."""
    gradients = of_outputs, of_h, of_c
    if workspace.dtype != torch.uint8:
        return _loops.lstm_backward(gradients, x, h, c, kernel, recurrent, outputs, workspace)
    weights = library.lstm_weights(kernel, recurrent, bias)
    if x.device.type == "cpu":
        last = last_h, last_c
        return library.onednn_lstm_backward(gradients, x, h, c, weights, outputs, last, workspace)
    dx, states, found = library.cudnn_backward(
        library.LSTM, gradients, x, (h, c), weights, outputs, workspace
    )
    return dx, *states, *(value.contiguous() for value in found[:3])


@operator
def gru(
    x: Tensor, h: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor | None, keep: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the outputs (batch, time, units), the last state, and a workspace where one is to be kept."""
    if library.is_of_cudnn(x):
        weights = library.gru_weights(kernel, recurrent, bias)
        outputs, (last,), reserve = library.cudnn(library.GRU, x, (h,), weights, keep)
        return outputs, last, reserve
    outputs, last, workspace = _loops.gru(x, h, kernel, recurrent, bias)
    return outputs, last, workspace if keep else x.new_empty(0)


@operator
def gru_backward(
    of_outputs: Tensor | None,
    of_h: Tensor | None,
    x: Tensor,
    h: Tensor,
    kernel: Tensor,
    recurrent: Tensor,
    bias: Tensor | None,
    outputs: Tensor,
    workspace: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of x, h, kernel, recurrent kernel and bias."""
    if workspace.dtype != torch.uint8:
        return _loops.gru_backward((of_outputs, of_h), x, h, kernel, recurrent, outputs, workspace)
    weights = library.gru_weights(kernel, recurrent, bias)
    dx, (dh,), found = library.cudnn_backward(
        library.GRU, (of_outputs, of_h), x, (h,), weights, outputs, workspace
    )
    return dx, dh, *library.gru_gradients(found)


# What follows is shapes, for tracers.


@torch.library.register_fake(lstm)
def _(x: Tensor, h: Tensor, c: Tensor, kernel: Tensor, recurrent: Tensor, bias: Any, keep: bool) -> Any:
    has_kernel = library.is_of_onednn(x) or library.is_of_cudnn(x)
    return *_like_results(x, h, c), _like_workspace(x, 5 * h.shape[1], keep, has_kernel)


@torch.library.register_fake(gru)
def _(x: Tensor, h: Tensor, kernel: Tensor, recurrent: Tensor, bias: Any, keep: bool) -> Any:
    workspace = _like_workspace(x, 4 * h.shape[1], keep, library.is_of_cudnn(x))
    return *_like_results(x, h), workspace


@torch.library.register_fake(lstm_backward)
def _(*arguments: Any) -> Any:
    x, h, c, kernel, recurrent = arguments[3:8]
    return _like_gradients(x, h, c, kernel, recurrent, kernel[:, 0])


@torch.library.register_fake(gru_backward)
def _(*arguments: Any) -> Any:
    x, h, kernel, recurrent = arguments[2:6]
    return _like_gradients(x, h, kernel, recurrent, kernel.new_empty(2, kernel.shape[1]))


def _like_results(x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
    outputs = x.new_empty(x.shape[1], x.shape[0], states[0].shape[1]).transpose(0, 1)
    return outputs, *(state.new_empty(state.shape) for state in states)


def _like_workspace(x: Tensor, width: int, keep: bool, has_kernel: bool) -> Tensor:
    if has_kernel:
        return x.new_empty(0, dtype=torch.uint8)
    return x.new_empty(x.shape[1], x.shape[0], width) if keep else x.new_empty(0)


def _like_gradients(x: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    dx = x.new_empty(x.shape[1], x.shape[0], x.shape[2]).transpose(0, 1)
    return dx, *(other.new_empty(other.shape) for other in others)


# What follows is derivatives.


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[:-1], *output)


def _lstm_pullback(ctx: Any, *arriving: Tensor | None) -> tuple[Tensor | None, ...]:
    *found, bias = lstm_backward(*arriving[:3], *ctx.saved_tensors)
    return *found, bias if ctx.needs_input_grad[5] else None, None


def _gru_pullback(ctx: Any, *arriving: Tensor | None) -> tuple[Tensor | None, ...]:
    x, h, kernel, recurrent, bias, outputs, _, workspace = ctx.saved_tensors
    *found, of_bias = gru_backward(*arriving[:2], x, h, kernel, recurrent, bias, outputs, workspace)
    return *found, of_bias if ctx.needs_input_grad[4] else None, None


def _save_all(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs)


def _lstm_second_pullback(ctx: Any, *arriving: Tensor | None) -> tuple[Tensor | None, ...]:
    return *_pull_back_by_steps("lstm", ctx.saved_tensors[:9], arriving), *[None] * 4


def _gru_second_pullback(ctx: Any, *arriving: Tensor | None) -> tuple[Tensor | None, ...]:
    return *_pull_back_by_steps("gru", ctx.saved_tensors[:7], arriving), *[None] * 2


def _pull_back_by_steps(
    cell: str, inputs: Sequence[Tensor | None], arriving: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """Return the gradients of a backward operator's inputs: of the gradients it takes, then of x and the others."""
    again, states = torch.is_grad_enabled(), 2 if cell == "lstm" else 1
    with torch.enable_grad():
        inputs = [None if value is None else _followed(value) for value in inputs]
        weights, tensors = (
            inputs[: states + 1],
            [value for value in inputs[states + 1 :] if value is not None],
        )
        x, *rest = tensors
        kernels = [value.T for value in rest[states:][:2]] if cell == "lstm" else rest[states:][:2]
        outputs, last = by_steps(cell, x, rest[:states], None, [*kernels, *rest[states + 2 :]])
        reached = [(o, w) for o, w in zip([outputs, *last], weights, strict=True) if w is not None]
        first = torch.autograd.grad(
            [o for o, _ in reached], tensors, [w for _, w in reached], create_graph=True, allow_unused=True
        )
    pairs = [
        (gradient, weight)
        for gradient, weight in zip(
            first, arriving, strict=False
        )  # without a bias, its gradient is not there
        if gradient is not None and gradient.requires_grad and weight is not None
    ]
    wanted = [value for value in inputs if value is not None]
    found = torch.autograd.grad(
        [g for g, _ in pairs], wanted, [w for _, w in pairs], create_graph=again, allow_unused=True
    )
    left = iter(found)
    return [None if value is None else next(left) for value in inputs]


def _followed(value: Tensor) -> Tensor:
    """Return the same numbers as a tensor that gradients reach, and go on from where they do."""
    return value.view_as(value) if value.requires_grad else value.detach().requires_grad_()


torch.library.register_autograd(lstm, _lstm_pullback, setup_context=_save)
torch.library.register_autograd(gru, _gru_pullback, setup_context=_save)
torch.library.register_autograd(lstm_backward, _lstm_second_pullback, setup_context=_save_all)
torch.library.register_autograd(gru_backward, _gru_second_pullback, setup_context=_save_all)

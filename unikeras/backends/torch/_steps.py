"""LSTM and GRU step by step, in operations that all of torch's transforms know."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Result = tuple[Tensor, list[Tensor]]


def by_steps(
    cell: str, x: Tensor, states: Sequence[Tensor], mask: Tensor | None, weights: Sequence[Tensor]
) -> Result:
    """Run over a sequence; arguments and result are those of `Backend.recurrence`."""
    kernel, recurrent, *bias = weights
    biases = [None, None]
    if bias:
        biases = [bias[0], None] if cell == "lstm" else list(bias[0])
    projected = torch.matmul(x, kernel)
    projected = projected if biases[0] is None else projected + biases[0]
    step: Callable[..., list[Tensor]] = _lstm if cell == "lstm" else _gru
    now, outputs = list(states), []
    for number, from_input in enumerate(projected.unbind(1)):
        from_state = torch.matmul(now[0], recurrent)
        from_state = from_state if biases[1] is None else from_state + biases[1]
        new = step(from_input, from_state, *now)
        if mask is not None:
            counts = mask[:, number, None]
            new = [torch.where(counts, a, b) for a, b in zip(new, now, strict=True)]
        now = new
        outputs.append(now[0])
    return torch.stack(outputs, 1) if outputs else now[0].new_empty(len(x), 0, len(recurrent)), now


def _lstm(from_input: Tensor, from_state: Tensor, h: Tensor, c: Tensor) -> list[Tensor]:
    i, f, g, o = (from_input + from_state).chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return [torch.sigmoid(o) * torch.tanh(c), c]


def _gru(from_input: Tensor, from_state: Tensor, h: Tensor) -> list[Tensor]:
    (zx, rx, nx), (zh, rh, nh) = from_input.chunk(3, -1), from_state.chunk(3, -1)
    z = torch.sigmoid(zx + zh)
    n = torch.tanh(nx + torch.sigmoid(rx + rh) * nh)
    return [z * h + (1 - z) * n]

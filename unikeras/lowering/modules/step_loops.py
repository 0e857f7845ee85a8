"""One step of each recurrent cell, and the loop over them, as TorchScript can compile them.

Weights and gates lie as in torch: i, f, g, o of an LSTM and r, z, n of a GRU.
"""

from __future__ import annotations

import torch
from torch import Tensor

ACTIVATIONS = ("hard_sigmoid", "linear", "relu", "sigmoid", "softplus", "softsign", "tanh")


def activate(name: str, x: Tensor) -> Tensor:
    """Apply one of `ACTIVATIONS`."""
    if name == "tanh":
        return torch.tanh(x)
    if name == "sigmoid":
        return torch.sigmoid(x)
    if name == "relu":
        return torch.relu(x)
    if name == "hard_sigmoid":
        return torch.nn.functional.hardsigmoid(x)
    if name == "softplus":
        return torch.nn.functional.softplus(x)
    if name == "softsign":
        return torch.nn.functional.softsign(x)
    return x


def step(
    cell: str,
    activation: str,
    recurrent_activation: str,
    x: Tensor,
    h: Tensor,
    c: Tensor,
    weight: Tensor,
    bias: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the states after one step; cells with one state return it twice.

    Args:
        x: the step's input, projected, with its bias: (batch, gates * units).
        h: the state before: (batch, units).
        c: an LSTM's cell, otherwise `h` again.
        weight: the recurrent weights: (gates * units, units).
        bias: their bias: (gates * units).
    """
    if cell == "lstm":
        i, f, g, o = (x + torch.nn.functional.linear(h, weight, bias)).chunk(4, -1)
        i, f = activate(recurrent_activation, i), activate(recurrent_activation, f)
        c = f * c + i * activate(activation, g)
        return activate(recurrent_activation, o) * activate(activation, c), c
    if cell == "gru":
        xr, xz, xn = x.chunk(3, -1)
        hr, hz, hn = torch.nn.functional.linear(h, weight, bias).chunk(3, -1)
        r, z = activate(recurrent_activation, xr + hr), activate(recurrent_activation, xz + hz)
        n = activate(activation, xn + r * hn)
        h = z * h + (1 - z) * n
        return h, h.clone()
    if cell == "gru_reset_before":
        xr, xz, xn = x.chunk(3, -1)
        wr, wz, wn = weight.chunk(3, 0)
        br, bz, bn = bias.chunk(3, 0)
        r = activate(recurrent_activation, xr + torch.nn.functional.linear(h, wr, br))
        z = activate(recurrent_activation, xz + torch.nn.functional.linear(h, wz, bz))
        n = activate(activation, xn + torch.nn.functional.linear(r * h, wn, bn))
        h = z * h + (1 - z) * n
        return h, h.clone()
    h = activate(activation, x + torch.nn.functional.linear(h, weight, bias))
    return h, h.clone()


def loop(
    cell: str,
    activation: str,
    recurrent_activation: str,
    steps: Tensor,
    keep: Tensor,
    h: Tensor,
    c: Tensor,
    weight: Tensor,
    bias: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run over steps (time, batch, ...), keeping the states where `keep` (time, batch, 1) is False.

    Returns:
        The final states and the outputs (time, batch, units).
    """
    outputs = []
    for time in range(steps.size(0)):
        new_h, new_c = step(cell, activation, recurrent_activation, steps[time], h, c, weight, bias)
        h, c = torch.where(keep[time], new_h, h), torch.where(keep[time], new_c, c)
        outputs.append(h)
    return h, c, torch.stack(outputs)

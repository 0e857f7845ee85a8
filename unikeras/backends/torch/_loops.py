"""LSTM and GRU over a sequence and back, step by step, with a hand-written backward pass.

For what torch has no kernel for. Autograd runs the same steps with five times the operators; here, whatever does not
depend on the step before is computed for all steps at once. Arguments and order of gates are Keras'.

The weights of an LSTM are transposed, (gates, features). A workspace is (time, batch, ...): what the backward pass
needs of each step.
"""

from __future__ import annotations

import torch
from torch import Tensor


def lstm(
    x: Tensor, h: Tensor, c: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Run an LSTM.

    Returns:
        The outputs (batch, time, units), the last two states, and the workspace: gates i, f, g, o, and the cell.
    """
    steps, rows, units = x.shape[1], x.shape[0], recurrent.shape[1]
    workspace = x.new_empty(steps, rows, 5 * units)
    gates, cells = workspace[..., : 4 * units], workspace[..., 4 * units :]
    gates.copy_(_projected(x, kernel.T, bias))
    outputs = x.new_empty(steps, rows, units)
    for gate, cell, output in zip(gates, cells, outputs, strict=True):
        gate.addmm_(h, recurrent.T)
        i, f, g, o = gate.chunk(4, -1)
        gate[:, : 2 * units].sigmoid_()
        g.tanh_()
        o.sigmoid_()
        torch.mul(f, c, out=cell)
        cell.addcmul_(i, g)
        torch.mul(o, cell.tanh(), out=output)
        h, c = output, cell
    return outputs.transpose(0, 1), h.clone(), c.clone(), workspace


def lstm_backward(
    gradients: tuple[Tensor | None, Tensor | None, Tensor | None],
    x: Tensor,
    h: Tensor,
    c: Tensor,
    kernel: Tensor,
    recurrent: Tensor,
    outputs: Tensor,
    workspace: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of x, h, c, kernel, recurrent kernel and bias."""
    units = recurrent.shape[1]
    i, f, g, o, cells = workspace.chunk(5, -1)
    of_outputs, dh, dc = _filled(gradients, outputs, (h, c))
    tanh = cells.tanh()
    of_cell = o * (1 - tanh * tanh)
    of_gates = torch.stack(
        [g * i * (1 - i), _before(c, cells) * f * (1 - f), i * (1 - g * g), tanh * o * (1 - o)], 2
    )
    back = torch.empty_like(of_gates)
    for step in reversed(range(len(back))):
        dh = dh + of_outputs[step]
        dc = torch.addcmul(dc, dh, of_cell[step])
        torch.mul(dc.unsqueeze(1), of_gates[step, :, :3], out=back[step, :, :3])
        torch.mul(dh, of_gates[step, :, 3], out=back[step, :, 3])
        dh = torch.mm(back[step].flatten(1), recurrent)
        dc = dc * f[step]
    before = _before(h, outputs.transpose(0, 1)).reshape(-1, units)
    rows = back.reshape(-1, 4 * units)
    dx, dkernel = _projected_back(rows, x, kernel.T)
    return dx, dh, dc, dkernel.T.contiguous(), rows.T @ before, rows.sum(0)


def gru(
    x: Tensor, h: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Run a GRU.

    Returns:
        The outputs (batch, time, units), the last state, and the workspace: what the state gives n, and gates z, r, n.
    """
    steps, rows, units = x.shape[1], x.shape[0], recurrent.shape[0]
    workspace = x.new_empty(steps, rows, 4 * units)
    from_state, gates = workspace[..., :units], workspace[..., units:]
    if bias is None:
        gates.copy_(_projected(x, kernel, None))
        from_state.zero_()
    else:
        of_state = torch.cat([bias[1, : 2 * units], bias.new_zeros(units)])
        gates.copy_(_projected(x, kernel, bias[0] + of_state))
        from_state.copy_(bias[1, 2 * units :])
    recurrent = recurrent.roll(units, -1)  # n, z, r: beside one another in the workspace
    outputs = x.new_empty(steps, rows, units)
    for gate, output in zip(workspace, outputs, strict=True):
        gate[:, : 3 * units].addmm_(h, recurrent)
        gate[:, units : 3 * units].sigmoid_()
        of_state, z, r, n = gate.chunk(4, -1)
        n.addcmul_(r, of_state).tanh_()
        h = torch.lerp(n, h, z, out=output)
    return outputs.transpose(0, 1), h.clone(), workspace


def gru_backward(
    gradients: tuple[Tensor | None, Tensor | None],
    x: Tensor,
    h: Tensor,
    kernel: Tensor,
    recurrent: Tensor,
    outputs: Tensor,
    workspace: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of x, h, kernel, recurrent kernel and bias."""
    units = recurrent.shape[0]
    of_state, z, r, n = workspace.chunk(4, -1)
    of_outputs, dh = _filled(gradients, outputs, (h,))
    before = _before(h, outputs.transpose(0, 1))
    of_n = (1 - z) * (1 - n * n)
    of_gates = torch.stack([of_n * r, (before - n) * z * (1 - z), of_n * of_state * r * (1 - r), of_n], 2)
    back = torch.empty_like(of_gates)
    rolled = recurrent.roll(units, -1).T
    for step in reversed(range(len(back))):
        dh = dh + of_outputs[step]
        torch.mul(dh.unsqueeze(1), of_gates[step], out=back[step])
        dh = torch.addmm(dh * z[step], back[step, :, :3].flatten(1), rolled)
    rows = back.reshape(-1, 4 * units)
    by_state, by_input = rows[:, : 3 * units], rows[:, units:]
    dx, dkernel = _projected_back(by_input, x, kernel)
    drecurrent = (before.reshape(-1, units).T @ by_state).roll(-units, -1)
    return dx, dh, dkernel, drecurrent, torch.stack([by_input.sum(0), by_state.sum(0).roll(-units, -1)])


def _projected(x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """Return what the inputs give the gates: (time, batch, gates)."""
    rows = x.transpose(0, 1).reshape(-1, x.shape[2])
    flat = torch.mm(rows, kernel) if bias is None else torch.addmm(bias, rows, kernel)
    return flat.view(x.shape[1], x.shape[0], kernel.shape[1])


def _projected_back(rows: Tensor, x: Tensor, kernel: Tensor) -> tuple[Tensor, Tensor]:
    by_time = x.transpose(0, 1)
    dx = torch.mm(rows, kernel.T).view(by_time.shape).transpose(0, 1)
    return dx, torch.mm(by_time.reshape(-1, x.shape[2]).T, rows)


def _before(first: Tensor, values: Tensor) -> Tensor:
    """Return what each step begins with: the first state, and the values of all steps but the last."""
    return torch.cat([first.unsqueeze(0), values])[:-1]


def _filled(
    gradients: tuple[Tensor | None, ...], outputs: Tensor, states: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    of_outputs, *rest = (
        torch.zeros_like(value) if gradient is None else gradient
        for gradient, value in zip(gradients, (outputs, *states), strict=True)
    )
    return of_outputs.transpose(0, 1), *rest

"""LSTM and GRU by torch's own kernels, and step by step where these do not reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from unikeras.backends._contract import Kernels
from unikeras.backends.torch._levels import inside_transform
from unikeras.errors import ArgumentValueError

Result = tuple[Tensor, list[Tensor]]

# A gate this far out is exactly closed, or open, in every floating type.
CLOSED, OPEN = -1e4, 1e4
_KERNELS = {"lstm": torch._VF.lstm, "gru": torch._VF.gru}


class TorchKernels(Kernels):
    """Torch's kernels, or steps written out."""

    recurrence_begins_with_state = False

    def recurrence(
        self, cell: str, x: Any, states: Sequence[Any], mask: Any | None, weights: Sequence[Any]
    ) -> tuple[Any, list[Any]] | None:
        return recurrence(cell, x, states, mask, weights)


def recurrence(
    cell: str, x: Tensor, states: Sequence[Tensor], mask: Tensor | None, weights: Sequence[Tensor]
) -> Result | None:
    """Run over a sequence; arguments and result are those of `Backend.recurrence`."""
    if torch.compiler.is_exporting():
        return None  # the kernels would fix what an export keeps dynamic
    if torch.compiler.is_compiling() or inside_transform():
        return by_steps(cell, x, states, mask, weights)  # neither has rules for the kernels
    if x.device.type == "cpu" or not torch.is_grad_enabled():
        return by_kernel(cell, x, states, mask, weights)
    return differentiable(by_kernel, cell, x, states, mask, weights)


def by_kernel(
    cell: str, x: Tensor, states: Sequence[Tensor], mask: Tensor | None, weights: Sequence[Tensor]
) -> Result:
    """Run torch's kernel, which has no masks: unmasked steps are moved to the front for it.

    What it makes of the steps behind them is not read, but an LSTM's cell has no outputs by step: there, an
    input of its own closes the gates.
    """
    _check(cell, x, states, mask, weights)
    kernel, recurrent, bias, recurrent_bias = _for_torch(cell, weights)
    if mask is None:
        return _run(cell, x, states, [kernel, recurrent, bias, recurrent_bias])
    seen = mask.long().cumsum(1)
    count = seen[:, -1:]
    place = torch.where(mask, seen - 1, count + (~mask).long().cumsum(1) - 1).unsqueeze(-1)
    # What stands at a step that does not count may be nan.
    counting = torch.where(mask.unsqueeze(-1), x, torch.zeros_like(x))
    packed = torch.zeros_like(x).scatter(1, place.expand_as(x), counting)
    if cell == "lstm":
        behind = (torch.ones_like(seen).cumsum(1) > count).to(x.dtype).unsqueeze(-1)
        packed = torch.cat([packed, behind], -1)
        kernel = torch.cat([kernel, _hold(kernel)], 1)
    outputs, last = _run(cell, packed, states, [kernel, recurrent, bias, recurrent_bias])
    outputs = torch.cat([states[0].unsqueeze(1), outputs], 1)
    outputs = outputs.gather(1, seen.unsqueeze(-1).expand(-1, -1, outputs.shape[-1]))
    return outputs, [outputs[:, -1], *last[1:]]


def _check(
    cell: str, x: Tensor, states: Sequence[Tensor], mask: Tensor | None, weights: Sequence[Tensor]
) -> None:
    """Refuse what the kernels would take for something else: they compare no batch sizes (torch 2.13).

    A state of another batch size makes them read and write outside its memory.
    """
    units, gates = weights[1].shape[0], 4 if cell == "lstm" else 3
    bias = (gates * units,) if cell == "lstm" else (2, gates * units)
    wanted = [("x", x, (*x.shape[:2], weights[0].shape[0]))]
    wanted += [
        (f"state {name}", state, (x.shape[0], units)) for name, state in zip("hc", states, strict=False)
    ]
    wanted += [("mask", mask, tuple(x.shape[:2]))] if mask is not None else []
    shapes = [(weights[0].shape[0], gates * units), (units, gates * units), bias]
    names = ("kernel", "recurrent kernel", "bias")
    wanted += [(name, weight, shape) for name, weight, shape in zip(names, weights, shapes, strict=False)]
    problems = [
        f"{name} is {tuple(value.shape)} {value.dtype} on {value.device}; allowed is {shape}"
        for name, value, shape in wanted
        if tuple(value.shape) != tuple(shape)
        or value.dtype != (torch.bool if value is mask else x.dtype)
        or value.device != x.device
    ]
    if len(states) != (2 if cell == "lstm" else 1):
        problems.append(f"{len(states)} states came")
    if problems:
        raise ArgumentValueError(
            f"the {cell} kernel takes tensors that fit x of {x.dtype} on {x.device}: {'; '.join(problems)}"
        )


def _run(cell: str, x: Tensor, states: Sequence[Tensor], weights: list[Tensor]) -> Result:
    first = [state.unsqueeze(0) for state in states]
    arguments = (weights, True, 1, 0.0, torch.is_grad_enabled(), False, True)
    outputs, *last = _KERNELS[cell](x, first if cell == "lstm" else first[0], *arguments)
    return outputs, [state.squeeze(0) for state in last]


def _for_torch(cell: str, weights: Sequence[Tensor]) -> list[Tensor]:
    """Return Keras' weights as torch's kernels have them: transposed, two biases, a GRU's gates as r, z, n."""
    kernel, recurrent, *bias = weights
    zeros = kernel.new_zeros(kernel.shape[1])
    biases = [zeros, zeros]
    if bias:
        biases = [bias[0], zeros] if cell == "lstm" else list(bias[0])
    if cell == "gru":
        kernel, recurrent, *biases = map(_reset_first, [kernel, recurrent, *biases])
    return [kernel.T.contiguous(), recurrent.T.contiguous(), *biases]


def _reset_first(value: Tensor) -> Tensor:
    z, r, n = value.chunk(3, -1)
    return torch.cat([r, z, n], -1)


def _hold(kernel: Tensor) -> Tensor:
    """Return the weights of an input that, where it is 1, keeps an LSTM's cell: i closed, f open."""
    gates = kernel.new_tensor([CLOSED, OPEN, 0.0, 0.0])
    return gates.repeat_interleave(kernel.shape[0] // 4).unsqueeze(1)


def by_steps(
    cell: str, x: Tensor, states: Sequence[Tensor], mask: Tensor | None, weights: Sequence[Tensor]
) -> Result:
    """Run step by step, in operations that all of torch's transforms know."""
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
    return torch.stack(outputs, 1), now


def _lstm(from_input: Tensor, from_state: Tensor, h: Tensor, c: Tensor) -> list[Tensor]:
    i, f, g, o = (from_input + from_state).chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return [torch.sigmoid(o) * torch.tanh(c), c]


def _gru(from_input: Tensor, from_state: Tensor, h: Tensor) -> list[Tensor]:
    (zx, rx, nx), (zh, rh, nh) = from_input.chunk(3, -1), from_state.chunk(3, -1)
    z = torch.sigmoid(zx + zh)
    n = torch.tanh(nx + torch.sigmoid(rx + rh) * nh)
    return [z * h + (1 - z) * n]


def differentiable(
    run: Callable[..., Result],
    cell: str,
    x: Tensor,
    states: Sequence[Tensor],
    mask: Tensor | None,
    weights: Sequence[Tensor],
) -> Result:
    """Run a kernel whose backward pass cannot be differentiated (cuDNN's, MPS') as something that can."""
    outputs, *last = _Differentiable.apply(run, cell, mask, len(states), x, *states, *weights)
    return outputs, last


class _Differentiable(torch.autograd.Function):
    """A kernel's own backward pass; where its result is differentiated again, that of the steps."""

    @staticmethod
    def forward(
        ctx: Any, run: Callable[..., Result], cell: str, mask: Tensor | None, count: int, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        own = [tensor.detach().requires_grad_(tensor.requires_grad) for tensor in tensors]
        ctx.call = lambda run, x, *rest: run(cell, x, rest[:count], mask, rest[count:])
        with torch.enable_grad():
            outputs, last = ctx.call(run, *own)
        ctx.inner = own, [outputs, *last]
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        return tuple(output.detach() for output in [outputs, *last])

    @staticmethod
    def backward(ctx: Any, *arriving: Tensor | None) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors  # also says so where one was changed in place
        inputs, outputs = ctx.inner
        again = torch.is_grad_enabled()
        if again:
            first, last = ctx.call(by_steps, *tensors)
            inputs, outputs = tensors, [first, *last]
        reached = [(o, g) for o, g in zip(outputs, arriving, strict=True) if g is not None]
        wanted = [tensor for tensor in inputs if tensor.requires_grad]
        gradients = torch.autograd.grad(
            [o for o, _ in reached],
            wanted,
            [g for _, g in reached],
            retain_graph=True,
            create_graph=again,
            allow_unused=True,
        )
        found = iter(gradients)
        return None, None, None, None, *(next(found) if t.requires_grad else None for t in inputs)

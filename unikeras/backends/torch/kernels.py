"""LSTM and GRU by fused operators, and step by step where these do not reach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from unikeras.backends._contract import Kernels
from unikeras.backends.torch import _recurrence
from unikeras.backends.torch._levels import inside_transform
from unikeras.backends.torch._steps import Result, by_steps
from unikeras.errors import ArgumentValueError

# A gate this far out is exactly closed, or open, in every floating type.
CLOSED, OPEN = -1e4, 1e4


class TorchKernels(Kernels):
    """Operators over a whole sequence, or steps written out."""

    recurrence_begins_with_state = False
    convolves_groups = True

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
        return by_steps(cell, x, states, mask, weights)  # neither has rules for the operators
    return by_kernel(cell, x, states, mask, weights)


def by_kernel(
    cell: str, x: Tensor, states: Sequence[Tensor], mask: Tensor | None, weights: Sequence[Tensor]
) -> Result:
    """Run the operator, which has no masks: unmasked steps are moved to the front for it.

    What it makes of the steps behind them is not read, but an LSTM's cell has no outputs by step: there, an
    input of its own closes the gates.
    """
    _check(cell, x, states, mask, weights)
    if not x.shape[1]:
        return x.new_empty(x.shape[0], 0, weights[1].shape[0]), list(states)
    if mask is None:
        return _run(cell, x, states, weights)
    seen = mask.long().cumsum(1)
    count = seen[:, -1:]
    place = torch.where(mask, seen - 1, count + (~mask).long().cumsum(1) - 1).unsqueeze(-1)
    # What stands at a step that does not count may be nan.
    counting = torch.where(mask.unsqueeze(-1), x, torch.zeros_like(x))
    packed = torch.zeros_like(x).scatter(1, place.expand_as(x), counting)
    if cell == "lstm":
        behind = (torch.ones_like(seen).cumsum(1) > count).to(x.dtype).unsqueeze(-1)
        packed = torch.cat([packed, behind], -1)
        weights = [torch.cat([weights[0], _hold(weights[0])]), *weights[1:]]
    outputs, last = _run(cell, packed, states, weights)
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


def _run(cell: str, x: Tensor, states: Sequence[Tensor], weights: Sequence[Tensor]) -> Result:
    tensors = [x, *states, *weights]
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    kernel, recurrent, *bias = weights
    if cell == "lstm":
        kernel, recurrent = kernel.T.contiguous(), recurrent.T.contiguous()
    operator = _recurrence.lstm if cell == "lstm" else _recurrence.gru
    outputs, *last, _ = operator(x, *states, kernel, recurrent, bias[0] if bias else None, keep)
    return outputs, last


def _hold(kernel: Tensor) -> Tensor:
    """Return the weights of an input that, where it is 1, keeps an LSTM's cell: i closed, f open."""
    gates = kernel.new_tensor([CLOSED, OPEN, 0.0, 0.0])
    return gates.repeat_interleave(kernel.shape[1] // 4).unsqueeze(0)

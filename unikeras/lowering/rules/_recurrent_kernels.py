"""Torch's recurrent modules, with the weights of Keras' cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from keras import activations, layers
from torch import nn

from unikeras.lowering._call_refusal import Refusal
from unikeras.lowering._torch_weights import filled, weight
from unikeras.lowering.modules.masked_recurrences import MaskedGRU, MaskedLSTM, MaskedRNN
from unikeras.lowering.modules.step_loops import ACTIVATIONS

KINDS: dict[type, tuple[str, type[nn.RNNBase], int]] = {
    layers.LSTMCell: ("lstm", nn.LSTM, 4),
    layers.GRUCell: ("gru", nn.GRU, 3),
    layers.SimpleRNNCell: ("rnn", nn.RNN, 1),
}
MASKED: dict[Any, Any] = {nn.LSTM: MaskedLSTM, nn.GRU: MaskedGRU, nn.RNN: MaskedRNN}


def activation_name(function: Any) -> str:
    """Return the name of an activation that the steps know, or refuse it."""
    name = getattr(function, "__name__", "")
    if name not in ACTIVATIONS or getattr(activations, name, None) is not function:
        raise Refusal(f"has an activation {name or function!r} that is none of {', '.join(ACTIVATIONS)}")
    return name


def kernel_of(cells: Sequence[Any], activation: str, masked: bool = False) -> Any:
    """Return torch's module of a cell, or of a forward and a backward one, with the weights.

    Args:
        cells: one cell, or two of a kind.
        activation: the name of the activation.
        masked: take the module that skips masked steps.
    """
    cell = cells[0]
    name, kernel_class, gates = KINDS[type(cell)]
    kernel_class = MASKED[kernel_class] if masked else kernel_class
    options: dict[str, Any] = {"bias": cell.bias is not None, "batch_first": True, "device": "meta"}
    if name == "rnn" and activation == "relu":
        options["nonlinearity"] = activation
    if len(cells) == 2:
        options["bidirectional"] = True
    tensors: dict[str, Any] = {}
    for one, suffix in zip(cells, ("_l0", "_l0_reverse"), strict=False):
        tensors.update(
            (part + suffix, value)
            for part, value in _tensors(one, _gates_first if gates == 3 else _same_order)
        )
    # nn.RNNBase keeps a list of its weights, which it makes anew as each is set.
    return filled(kernel_class(cell.kernel.shape[0], cell.units, **options), **tensors)


def _tensors(cell: Any, into_torch: Callable[..., torch.Tensor]) -> Iterator[tuple[str, Any]]:
    """Yield a cell's tensors; where Keras has one bias, it is torch's first one, and the second is zeros."""
    yield "weight_ih", weight(cell, cell.kernel, lambda k: into_torch(k, 1).T)
    yield "weight_hh", weight(cell, cell.recurrent_kernel, lambda k: into_torch(k, 1).T)
    if cell.bias is None:
        return
    if len(cell.bias.shape) == 2:
        yield "bias_ih", weight(cell, cell.bias, lambda both: into_torch(both[0], 0))
        yield "bias_hh", weight(cell, cell.bias, lambda both: into_torch(both[1], 0))
    else:
        one = weight(cell, cell.bias, lambda bias: into_torch(bias, 0))
        yield "bias_ih", one
        yield "bias_hh", nn.Parameter(torch.zeros_like(one), requires_grad=False)


def _same_order(value: torch.Tensor, axis: int) -> torch.Tensor:
    return value


def _gates_first(value: torch.Tensor, axis: int) -> torch.Tensor:
    """Put a GRU's gates in torch's order: Keras has z, r, h, torch r, z, n."""
    z, r, h = value.chunk(3, axis)
    return torch.cat([r, z, h], axis)

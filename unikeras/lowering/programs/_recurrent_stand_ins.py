"""Recurrent layers as operators of ours: torch.export unrolls them over a time axis that is then fixed."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from unikeras.lowering.programs._stand_in_operators import stand_in

RECURRENT = (nn.LSTM, nn.GRU, nn.RNN)


class PackedInput(Exception):
    """A recurrent layer was given a packed sequence."""


def stand_in_for_recurrent(module: nn.Module) -> None:
    """Replace the forward method of each recurrent layer; who calls puts it back."""
    for part in module.modules():
        if isinstance(part, RECURRENT):
            vars(part)["forward"] = functools.partial(_forward, part)


def _forward(layer: Any, input: Any, hx: Any = None) -> Any:
    if isinstance(input, PackedSequence):
        raise PackedInput(type(layer).__name__)
    is_lstm = isinstance(layer, nn.LSTM)
    unbatched = input.dim() == 2
    if unbatched:
        axis = 0 if layer.batch_first else 1
        input = input.unsqueeze(axis)
        hx = None if hx is None else tuple(h.unsqueeze(1) for h in hx) if is_lstm else hx.unsqueeze(1)
    if hx is None:
        hx = _zeros(layer, input)
    name = "lstm" if is_lstm else "gru" if isinstance(layer, nn.GRU) else f"rnn_{layer.nonlinearity}"
    output, *states = stand_in(name)(
        input,
        list(hx) if is_lstm else hx,
        # By attribute, and not as torch reads them: `_flat_weights` would become constants without gradients.
        [weight for weights in layer.all_weights for weight in weights],
        layer.bias,
        layer.num_layers,
        float(layer.dropout),
        layer.training,
        layer.bidirectional,
        layer.batch_first,
    )
    if unbatched:
        output, states = output.squeeze(axis), [state.squeeze(1) for state in states]
    return output, tuple(states) if is_lstm else states[0]


def _zeros(layer: Any, input: torch.Tensor) -> Any:
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    batch = input.shape[0 if layer.batch_first else 1]
    zeros = input.new_zeros((count, batch, layer.proj_size or layer.hidden_size))
    if not isinstance(layer, nn.LSTM):
        return zeros
    return zeros, input.new_zeros((count, batch, layer.hidden_size))

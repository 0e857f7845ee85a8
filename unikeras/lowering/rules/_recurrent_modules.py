"""Recurrent layers as torch's own modules, for training and for people to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from keras import activations, layers
from torch import nn

from unikeras.lowering._layer_call import Call
from unikeras.lowering._layouts import Value
from unikeras.lowering.rules._recurrent_kernels import KINDS, activation_name, kernel_of


def as_modules(call: Call, mask: Any, state: Any) -> list[Any]:
    """Run a recurrent layer, or stacked ones, and return the outputs, the last of them, and the states."""
    layer = call.layer
    if not isinstance(layer.cell, layers.StackedRNNCells):
        if layer.go_backwards:
            mask = None if mask is None else mask.flip(1)
        return _one_way(call, layer.cell, _given(call, layer.cell), mask, state)
    alone = state is None and mask is None and not layer.return_state
    call.refuse_unless(alone, "has stacked cells with states or a mask of their own")
    outputs = _given(call, layer.cell.cells[0])
    for cell in layer.cell.cells:
        outputs, last, *_ = _one_way(call, cell, outputs, None, None, cell.name)
    return [outputs, last]


def _one_way(call: Call, cell: Any, x: Any, mask: Any, state: Any, part: str = "") -> list[Any]:
    outputs, last_state = _run(call, [cell], x, mask, state, part)
    if getattr(call.layer, "zero_output_for_mask", False) and mask is not None:
        outputs = torch.where(mask.unsqueeze(-1), outputs, 0.0)
    states = [last_state[0], last_state[1]] if type(cell) is layers.LSTMCell else [last_state]
    return [outputs, outputs[:, -1], *(one.squeeze(0) for one in states)]


def _given(call: Call, cell: Any) -> Any:
    """Return the input of a recurrence: in training, features are dropped for all steps at once."""
    x = call.x.plain
    rate = float(getattr(cell, "dropout", 0) or 0)
    if rate:
        x = call.module(lambda _: nn.Dropout1d(rate), "dropout")(x.transpose(1, 2)).transpose(1, 2)
    return x.flip(1) if getattr(call.layer, "go_backwards", False) else x


def _run(call: Call, cells: Sequence[Any], x: Any, mask: Any, state: Any, part: str = "") -> tuple[Any, Any]:
    """Run torch's module over one cell, or over a forward and a backward one; return its outputs and states."""
    for cell in cells:
        _check(call, cell)
    activation = activation_name(cells[0].activation)
    module = call.module(lambda _: kernel_of(cells, activation, masked=mask is not None), part)
    arguments = [x] if mask is None else [x, mask]
    if state is not None:
        half = len(state) // len(cells)
        parts = [
            torch.stack([state[n], state[half + n]]) if len(cells) == 2 else state[n].unsqueeze(0)
            for n in range(half)
        ]
        arguments.append(tuple(parts) if half == 2 else parts[0])
    result = module(*arguments)
    return result[0], result[1]


def _check(call: Call, cell: Any) -> None:
    kind = type(cell)
    call.refuse_unless(kind in KINDS, f"has a cell {kind.__name__}")
    name, kernel, _ = KINDS[kind]
    call.refuse_unless(
        name != "gru" or cell.reset_after,
        "resets the state before the product (reset_after=False), torch.nn.GRU after it",
    )
    call.refuse_unless(
        not getattr(cell, "recurrent_dropout", 0),
        "drops states (recurrent_dropout), which torch's modules do not",
    )
    activation = activation_name(cell.activation)
    gate = activation_name(getattr(cell, "recurrent_activation", activations.sigmoid))
    fits = gate == "sigmoid" and (activation == "tanh" or (name == "rnn" and activation == "relu"))
    call.refuse_unless(
        fits, f"has the activations {activation} and {gate}, which torch.nn.{kernel.__name__} has not"
    )


def both_ways(layer: Any) -> bool:
    """Say whether one bidirectional module of torch does what both layers of a Bidirectional do."""
    ways = (layer.forward_layer, layer.backward_layer)
    cells = [getattr(way, "cell", None) for way in ways]
    if type(cells[0]) is not type(cells[1]) or type(cells[0]) not in KINDS:
        return False
    names = ("units", "activation", "recurrent_activation", "reset_after", "dropout", "use_bias")
    same = all(getattr(cells[0], name, None) == getattr(cells[1], name, None) for name in names)
    return (
        same and not ways[0].go_backwards and ways[1].go_backwards and not any(way.stateful for way in ways)
    )


def as_one_module(call: Call, mask: Any, state: Any) -> list[Value]:
    """Run a Bidirectional as one module of torch."""
    layer = call.layer
    cells = [layer.forward_layer.cell, layer.backward_layer.cell]
    units = cells[0].units
    call.refuse_unless(not getattr(cells[0], "dropout", 0), "drops other features on the way back (dropout)")
    outputs, state = _run(call, cells, call.x.plain, mask, state)
    is_lstm = type(cells[0]) is layers.LSTMCell
    states = [state[0], state[1]] if is_lstm else [state]
    zeroed = mask is not None and getattr(layer.forward_layer, "zero_output_for_mask", False)
    outputs = torch.where(mask.unsqueeze(-1), outputs, 0.0) if zeroed else outputs
    if layer.return_sequences:
        whole = layer.merge_mode == "concat"
        results = [outputs] if whole else merged(layer.merge_mode, outputs[..., :units], outputs[..., units:])
    elif zeroed:
        results = merged(layer.merge_mode, outputs[:, -1, :units], outputs[:, 0, units:])
    else:
        results = merged(layer.merge_mode, states[0][0], states[0][1])
    if layer.return_state:
        results += [one[way] for way in (0, 1) for one in states]
    values = [Value(result) for result in results]
    if layer.return_sequences:
        for value in values[: 1 if layer.merge_mode else 2]:
            value.mask = call.previous_mask
    return values


def merged(mode: str | None, forward: Any, backward: Any) -> list[Any]:
    """Return what a Bidirectional gives of both ways."""
    if mode is None:
        return [forward, backward]
    merged = {
        "concat": lambda: torch.cat([forward, backward], -1),
        "sum": lambda: forward + backward,
        "ave": lambda: (forward + backward) / 2,
        "mul": lambda: forward * backward,
    }
    return [merged[mode]()]

"""Recurrent layers, over torch's kernels where these compute the same."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import keras
import torch
from keras import activations, layers
from torch import nn

from unikeras import backends
from unikeras.layers import GRU, LSTM
from unikeras.lowering._layer_call import Call
from unikeras.lowering._layouts import Value
from unikeras.lowering._rule_registry import rule
from unikeras.lowering.modules.recurrent_cells import Recurrence, SteppedRecurrence
from unikeras.lowering.modules.stacked_cells import StackedRecurrence
from unikeras.lowering.rules._recurrent_kernels import KINDS, activation_name, kernel_of
from unikeras.lowering.rules._recurrent_modules import as_modules, as_one_module, both_ways, merged


@rule(layers.LSTM, layers.GRU, LSTM, GRU, layers.SimpleRNN, layers.RNN)
def _recurrent(call: Call) -> list[Value]:
    outputs, last, *states = _run(call)
    results = [outputs if call.layer.return_sequences else last]
    results += states if call.layer.return_state else []
    values = [Value(result) for result in results]
    if call.layer.return_sequences:
        values[0].mask = next(iter(keras.tree.flatten(call.previous_mask)), None)
    return values


def _run(call: Call) -> list[Any]:
    layer = call.layer
    call.refuse_unless(not layer.stateful, "is stateful: it keeps its memory between calls")
    if call.trains:
        return as_modules(call, _first_mask(call), _initial_state(call))
    if isinstance(layer.cell, layers.StackedRNNCells):
        return _run_stacked(call)
    kind = KINDS.get(type(layer.cell))
    call.refuse_unless(kind, f"has a cell {type(layer.cell).__name__}")
    call.refuse_unless(layer.compute_dtype in ("float32", "float64"), f"computes in {layer.compute_dtype}")
    module = call.module(lambda layer: _built(layer, call.recurrence))
    result = module(call.x.plain, mask=_first_mask(call), state=_initial_state(call))
    count = 4 if kind and kind[0] == "lstm" else 3
    return [result[number] for number in range(count)]


def _run_stacked(call: Call) -> list[Any]:
    layer = call.layer
    alone = call.argument(1, "initial_state") is None and call.kwargs.get("mask") is None
    call.refuse_unless(
        alone and not layer.return_state, "has stacked cells with states or a mask of their own"
    )
    for cell in layer.cell.cells:
        call.refuse_unless(type(cell) in KINDS, f"has a cell {type(cell).__name__}")
        call.refuse_unless(cell.compute_dtype in ("float32", "float64"), f"computes in {cell.compute_dtype}")
    result = call.module(lambda layer: StackedRecurrence(_parts_of(layer, call.recurrence)))(call.x.plain)
    return [result[0], result[1]]


def _parts_of(layer: Any, recurrence: str) -> list[Any]:
    ways = [layer.go_backwards] + [False] * (len(layer.cell.cells) - 1)
    pairs = zip(layer.cell.cells, ways, strict=True)
    return [_built(SimpleNamespace(cell=cell, go_backwards=back), recurrence) for cell, back in pairs]


def _first_mask(call: Call) -> Any:
    mask = call.kwargs.get("mask")
    first = next(iter(keras.tree.flatten(mask)), None)
    return None if first is None else call.booleans(first)


def _initial_state(call: Call) -> Any:
    state = call.argument(1, "initial_state")
    if state is None:
        return None
    kind = call.layer.compute_dtype
    if call.trains:
        return tuple(call.value(part).plain for part in keras.tree.flatten(state))
    return tuple(call.value(part).plain.to(getattr(torch, kind)) for part in keras.tree.flatten(state))


def _built(layer: Any, recurrence: str) -> nn.Module:
    cell = layer.cell
    name, _, _ = KINDS[type(cell)]
    if name == "gru" and not cell.reset_after:
        name = "gru_reset_before"
    activation = activation_name(cell.activation)
    gate = activation_name(getattr(cell, "recurrent_activation", activations.sigmoid))
    options = {
        "backwards": layer.go_backwards,
        "zero_masked": bool(getattr(layer, "zero_output_for_mask", False)),
        # Keras' backends differ here: on JAX a masked step gives the state, elsewhere the output before.
        "begins_with_state": backends.current().recurrence_begins_with_state,
    }
    kernel = kernel_of([cell], activation)
    fused = gate == "sigmoid" and (activation == "tanh" or (name == "rnn" and activation == "relu"))
    if recurrence == "kernel" and fused and name != "gru_reset_before":
        return Recurrence(kernel, **options)
    return SteppedRecurrence(kernel, name, activation, gate, **options)


@rule(layers.Bidirectional)
def _bidirectional(call: Call) -> list[Value]:
    layer = call.layer
    states = call.argument(1, "initial_state")
    if call.trains and both_ways(layer):
        return as_one_module(call, _first_mask(call), _initial_state(call))
    halves = (None, None) if states is None else (states[: len(states) // 2], states[len(states) // 2 :])
    ways = [
        _way(call, one, half)
        for one, half in zip((layer.forward_layer, layer.backward_layer), halves, strict=True)
    ]
    (forward, *forward_states), (backward, *backward_states) = [[v.plain for v in way] for way in ways]
    backward = backward.flip(1) if layer.return_sequences else backward
    results = [*merged(layer.merge_mode, forward, backward), *forward_states, *backward_states]
    values = [Value(result) for result in results]
    if layer.return_sequences:
        for value in values[: 1 if layer.merge_mode else 2]:
            value.mask = call.previous_mask
    return values


def _way(call: Call, layer: Any, state: Sequence[Any] | None) -> list[Value]:
    x = call.x
    sequence = (*x.shape[: 2 if layer.return_sequences else 1], layer.cell.units)
    shapes = [tuple(sequence)]
    if layer.return_state:
        shapes += [(x.shape[0], layer.cell.units)] * len(layer.state_size)
    outputs = [keras.KerasTensor(shape, layer.compute_dtype) for shape in shapes]
    return call.delegate(layer, [x], outputs, initial_state=state, mask=call.kwargs.get("mask"))


@rule(layers.TimeDistributed)
def _time_distributed(call: Call) -> list[Value]:
    inner = call.layer.layer
    x = call.x
    masked = call.kwargs.get("mask") is not None and getattr(inner, "_call_has_mask_arg", False)
    call.refuse_unless(
        not masked or isinstance(inner, layers.BatchNormalization),
        f"hands its mask to {type(inner).__name__}",
    )
    # Samples are treated one by one, so that time can join the batch; in training a normalization counts them all.
    call.refuse_unless(
        not (call.trains and masked),
        "normalizes under a mask, which counts the unmasked steps alone in training",
    )
    steps = Value(x.plain.flatten(0, 1), shape=(None, *x.shape[2:]), dtype=x.dtype)
    outputs = [keras.KerasTensor((None, *out.shape[2:]), out.dtype) for out in call.outputs]
    results = call.delegate(inner, [steps], outputs)
    size = x.plain.shape
    return [Value(result.plain.unflatten(0, (size[0], size[1]))) for result in results]

"""ConvLSTM2D, channels first within."""

from __future__ import annotations

from typing import Any

from keras import layers
from torch import nn

from unikeras.lowering._layer_call import Call
from unikeras.lowering._layouts import Value
from unikeras.lowering._rule_registry import rule
from unikeras.lowering._torch_weights import filled, weight
from unikeras.lowering.modules.convolutional_cells import ConvLSTM
from unikeras.lowering.rules import _padding
from unikeras.lowering.rules._recurrent_kernels import activation_name


@rule(layers.ConvLSTM2D)
def _conv_lstm(call: Call) -> list[Value]:
    layer, cell = call.layer, call.layer.cell
    call.refuse_unless(not layer.stateful, "is stateful: it keeps its memory between calls")
    call.refuse_unless(call.argument(1, "initial_state") is None, "is given an initial state")
    call.refuse_unless(call.kwargs.get("mask") is None, "runs under a mask")
    last = cell.data_format == "channels_last"
    x = call.x.plain.permute(0, 1, 4, 2, 3) if last else call.x.plain
    if cell.padding == "same":
        sizes = call.x.shape[2:4] if last else call.x.shape[3:]
        # The first axes are batch and time here; a channel stands for the time.
        images = x.flatten(0, 1)
        images = _padding.same(images, sizes, cell.kernel_size, cell.strides, cell.dilation_rate)
        x = images.unflatten(0, (x.shape[0], x.shape[1]))
    outputs, *states = (call.module(_built)(x)[number] for number in range(4))
    if last:
        outputs = outputs.permute(0, 1, 3, 4, 2)
        states = [state.permute(0, 2, 3, 1) for state in states]
    results = [outputs if layer.return_sequences else states[0]]
    return [Value(one) for one in results + (states[1:] if layer.return_state else [])]


def _built(layer: Any) -> nn.Module:
    cell = layer.cell
    *sizes, within, out = cell.kernel.shape
    convolution = filled(
        nn.Conv2d(
            within,
            out,
            tuple(sizes),
            stride=cell.strides,
            dilation=cell.dilation_rate,
            bias=cell.use_bias,
            device="meta",
        ),
        weight=weight(cell, cell.kernel, lambda kernel: kernel.permute(3, 2, 0, 1)),
        bias=weight(cell, cell.bias if cell.use_bias else None),
    )
    recurrent = weight(cell, cell.recurrent_kernel, lambda kernel: kernel.permute(3, 2, 0, 1))
    height, width = cell.recurrent_kernel.shape[:2]
    pads = [(width - 1) // 2, width // 2, (height - 1) // 2, height // 2]
    names = (activation_name(cell.activation), activation_name(cell.recurrent_activation))
    return ConvLSTM(convolution, recurrent, pads, *names, backwards=layer.go_backwards)

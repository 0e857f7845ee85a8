"""Convolutions: channels first within, whatever the layer's `data_format` says of its ends."""

from __future__ import annotations

from typing import Any

import torch
from keras import layers
from torch import nn
from torch.nn import functional

from unikeras.lowering._call_refusal import Refusal
from unikeras.lowering._layer_call import Call
from unikeras.lowering._layouts import Layout, Value, physical_shape
from unikeras.lowering._rule_registry import rule
from unikeras.lowering._torch_weights import filled, weight
from unikeras.lowering.rules import _padding
from unikeras.lowering.rules._activations import activate, described

CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


@rule(layers.Conv1D, layers.Conv2D, layers.Conv3D)
def _convolution(call: Call) -> Value:
    return _run(call, _conv)


@rule(layers.DepthwiseConv1D, layers.DepthwiseConv2D)
def _depthwise_convolution(call: Call) -> Value:
    return _run(call, lambda layer: _depthwise(layer, layer.kernel, layer.bias))


@rule(layers.SeparableConv1D, layers.SeparableConv2D)
def _separable_convolution(call: Call) -> Value:
    return _run(call, _separable)


def _run(call: Call, build: Any) -> Value:
    layer = call.layer
    layout = Layout.of(layer.data_format)
    sizes = physical_shape(call.x.shape, layout)[2:]
    x = call.x.to(layout)
    if layer.padding == "causal":
        x = functional.pad(x, [(layer.kernel_size[0] - 1) * layer.dilation_rate[0], 0])
    elif layer.padding == "same" and _geometry(layer)["padding"] == 0:
        x = _padding.same(x, sizes, layer.kernel_size, layer.strides, layer.dilation_rate)
    return activate(call, layer.activation, described(call, call.module(build)(x), layout))


def _geometry(layer: Any) -> dict[str, Any]:
    rank = len(layer.kernel_size)
    strides, dilation = (_padding.per_axis(v, rank) for v in (layer.strides, layer.dilation_rate))
    padding = _padding.even(layer.kernel_size, strides, dilation) if layer.padding == "same" else None
    return {"stride": strides, "dilation": dilation, "padding": padding or 0}


def _conv(layer: Any) -> nn.Module:
    return _filled_conv(layer, layer.kernel, layer.bias, layer.groups, _geometry(layer))


def _filled_conv(layer: Any, kernel: Any, bias: Any, groups: int, geometry: dict[str, Any]) -> nn.Module:
    *sizes, within, out = kernel.shape
    rank = len(sizes)
    return filled(
        CONV[rank](
            within * groups,
            out,
            tuple(sizes),
            **geometry,
            groups=groups,
            bias=bias is not None,
            device="meta",
        ),
        weight=weight(layer, kernel, lambda k: k.permute(rank + 1, rank, *range(rank))),
        bias=weight(layer, bias),
    )


def _depthwise(layer: Any, kernel: Any, bias: Any) -> nn.Module:
    *sizes, channels, multiplier = kernel.shape
    rank = len(sizes)

    def arranged(k: torch.Tensor) -> torch.Tensor:
        return k.permute(rank, rank + 1, *range(rank)).reshape(channels * multiplier, 1, *sizes)

    return filled(
        CONV[rank](
            channels,
            channels * multiplier,
            tuple(sizes),
            **_geometry(layer),
            groups=channels,
            bias=bias is not None,
            device="meta",
        ),
        weight=weight(layer, kernel, arranged),
        bias=weight(layer, bias),
    )


def _separable(layer: Any) -> nn.Module:
    pointwise = _filled_conv(layer, layer.pointwise_kernel, layer.bias, 1, {})
    return nn.Sequential(_depthwise(layer, layer.depthwise_kernel, None), pointwise)


@rule(layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
def _transposed_convolution(call: Call) -> Value:
    layer = call.layer
    layout = Layout.of(layer.data_format)
    result = call.module(_transposed)(call.x.to(layout))
    if call.trains:
        ends = [slice(None, start - end if end > start else None) for start, end in _crops(layer)]
        result = result[(slice(None), slice(None), *ends)] if any(one.stop for one in ends) else result
        return activate(call, layer.activation, described(call, result, layout))
    for axis, (start, end) in enumerate(_crops(layer)):
        if end > start:
            result = result.narrow(axis + 2, 0, result.shape[axis + 2] - (end - start))
    return activate(call, layer.activation, described(call, result, layout))


def _transposed(layer: Any) -> nn.Module:
    *sizes, out, within = layer.kernel.shape
    rank = len(sizes)
    crops = _crops(layer)
    added = tuple(max(start - end, 0) for start, end in crops)
    dilation = _padding.per_axis(layer.dilation_rate, rank)
    if any(more >= max(s, d) for more, s, d in zip(added, layer.strides, dilation, strict=True)):
        raise Refusal(f"has an output_padding that torch does not know ({layer.output_padding})")
    return filled(
        TRANSPOSED[rank](
            within,
            out,
            tuple(sizes),
            stride=tuple(layer.strides),
            padding=tuple(start for start, _ in crops),
            output_padding=added,
            dilation=dilation,
            bias=layer.bias is not None,
            device="meta",
        ),
        weight=weight(layer, layer.kernel, lambda k: k.permute(rank + 1, rank, *range(rank))),
        bias=weight(layer, layer.bias),
    )


def _crops(layer: Any) -> list[tuple[int, int]]:
    """Return how much of the full product Keras cuts off at the start and at the end of each axis.

    Source: `_convert_conv_transpose_padding_args_from_keras_to_jax` in
    keras/src/backend/common/backend_utils.py.
    """
    rank = len(layer.kernel_size)
    dilation, more = (
        _padding.per_axis(v, rank) if v is not None else (None,) * rank
        for v in (layer.dilation_rate, layer.output_padding)
    )
    return [
        _crop((k - 1) * d + 1, s, layer.padding, extra)
        for k, d, s, extra in zip(layer.kernel_size, dilation, layer.strides, more, strict=True)
    ]


def _crop(span: int, stride: int, padding: str, more: int | None) -> tuple[int, int]:
    if padding == "valid":
        return 0, -(max(span, stride) - span if more is None else more)
    total = stride + span - 2 if more is None else span + span % 2 - 2 + more
    start = min((total + 1) // 2, span - 1)
    return span - 1 - start, span - 1 - (total - start)

"""Pooling, over windows and over everything."""

from __future__ import annotations

from typing import Any

import torch
from keras import layers
from torch import nn
from torch.nn import functional

from unikeras.lowering._layer_call import Call
from unikeras.lowering._layouts import Layout, Value, physical_shape
from unikeras.lowering._rule_registry import rule
from unikeras.lowering.rules import _padding
from unikeras.lowering.rules._activations import described

MAX = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
AVERAGE = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}


def _geometry(layer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    rank = len(layer.pool_size)
    return tuple(layer.pool_size), _padding.per_axis(layer.strides or layer.pool_size, rank)


def _pool(kind: dict[int, Any], layer: Any) -> nn.Module:
    size, strides = _geometry(layer)
    return kind[len(size)](size, strides)


def _padded(call: Call, x: Any, value: float) -> Any:
    size, strides = _geometry(call.layer)
    sizes = physical_shape(call.x.shape, Layout.of(call.layer.data_format))[2:]
    return _padding.same(x, sizes, size, strides, (1,) * len(size), value)


@rule(layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D)
def _max_pooling(call: Call) -> Value:
    layout = Layout.of(call.layer.data_format)
    x = call.x.to(layout)
    if call.layer.padding == "same":
        x = _padded(call, x, float("-inf"))
    if call.recurrence == "scan" and call.x.rank == 3 and call.x.shape[1:].count(None):
        return described(call, _in_two_dimensions(call, x), layout)
    return described(call, call.module(lambda layer: _pool(MAX, layer))(x), layout)


def _in_two_dimensions(call: Call, x: Any) -> Any:
    """Pool a sequence as an image of height 1.

    torch.export takes the length of what it pools by `max_pool1d` for a constant where that is computed from
    the length of an input, as behind a strided convolution.
    """
    (size,), (stride,) = _geometry(call.layer)
    return functional.max_pool2d(x.unsqueeze(2), (1, size), (1, stride)).squeeze(2)


@rule(layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D)
def _average_pooling(call: Call) -> Value:
    layout = Layout.of(call.layer.data_format)
    x = call.x.to(layout)
    pool = call.module(lambda layer: _pool(AVERAGE, layer))
    if call.layer.padding == "valid":
        return described(call, pool(x), layout)
    padded = _padded(call, x, 0.0)
    if padded is x:
        return described(call, pool(x), layout)
    # What was padded does not count: divide by the share of each window that lies in the image.
    share = pool(_padded(call, torch.ones_like(x), 0.0))
    return described(call, pool(padded) / share, layout)


@rule(
    layers.GlobalAveragePooling1D,
    layers.GlobalAveragePooling2D,
    layers.GlobalAveragePooling3D,
)
def _global_average_pooling(call: Call) -> Value:
    layout = Layout.of(call.layer.data_format)
    mask, keep = call.mask(), call.layer.keepdims
    if mask is None:
        return _global(call, lambda x, axes: torch.mean(x, axes, keepdim=keep))
    weights = mask.unsqueeze(1)
    x = torch.where(weights, call.x.to(layout), 0.0)
    count = weights.to(x.dtype).sum([2], keepdim=keep)
    return described(call, x.sum([2], keepdim=keep) / count, layout if keep else Layout.PLAIN)


@rule(layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D)
def _global_max_pooling(call: Call) -> Value:
    return _global(call, lambda x, axes: torch.amax(x, axes, keepdim=call.layer.keepdims))


def _global(call: Call, reduce: Any) -> Value:
    layout = Layout.of(call.layer.data_format)
    axes = list(range(2, call.x.rank))
    return described(call, reduce(call.x.to(layout), axes), layout if call.layer.keepdims else Layout.PLAIN)

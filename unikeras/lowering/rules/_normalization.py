"""Normalizations, in inference: moving statistics are constants."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import torch
from keras import layers
from torch import nn

from unikeras.lowering import _torch_weights as _weights
from unikeras.lowering._layer_call import Call
from unikeras.lowering._layouts import Layout, Value
from unikeras.lowering._rule_registry import rule
from unikeras.lowering._torch_weights import filled
from unikeras.lowering.rules._activations import described

BATCH_NORM = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}


def _channel_layout(call: Call, axis: int) -> Layout:
    """Return the layout in which an axis of channels comes second."""
    axis = axis % call.x.rank
    call.refuse_unless(axis in (1, call.x.rank - 1), f"normalizes axis {axis} of {call.x.rank}")
    return Layout.PLAIN if axis == 1 else Layout.CHANNELS_FIRST


def _in_float(call: Call, x: Any, compute: Any) -> Any:
    """Compute in float32 where the layer's dtype is a half, as Keras does."""
    if call.x.dtype not in ("float16", "bfloat16"):
        return compute(x)
    return compute(x.float()).to(_weights.dtype(call.outputs[0].dtype))


def _full(variable: Any) -> Any:
    """Return a variable in its own dtype, at least float32: these are not cast to the compute dtype."""
    if variable is None:
        return None
    return nn.Parameter(_precise(variable), requires_grad=bool(variable.trainable))


def _precise(variable: Any) -> torch.Tensor:
    value = _weights.tensor(variable)
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value


def _both(layer: Any, size: int) -> tuple[Any, Any]:
    """Return scale and center; torch's modules have both or none, so one that is missing is constant."""
    scale = _full(layer.gamma if layer.scale else None)
    center = _full(layer.beta if layer.center else None)
    if scale is None and center is not None:
        scale = nn.Parameter(torch.ones(size), requires_grad=False)
    if center is None and scale is not None:
        center = nn.Parameter(torch.zeros(size), requires_grad=False)
    return scale, center


@rule(layers.BatchNormalization)
def _batch_normalization(call: Call) -> Value:
    layout = _channel_layout(call, call.layer.axis)
    call.refuse_unless(
        not (call.trains and call.layer.trainable and call.kwargs.get("mask") is not None),
        "normalizes under a mask: in training it counts the unmasked steps alone, which torch's does not",
    )
    order = call.kept_order
    norm = call.module(lambda layer: _batch_norm(layer, call.x.rank, order, call.trains))
    x = call.x.to(layout) if order is None else call.x.features(order)
    result = described(call, _in_float(call, x, norm), layout)
    result.order = order
    return result


def _batch_norm(layer: Any, rank: int, order: Any, trains: bool) -> nn.Module:
    size = layer.moving_mean.shape[0]
    scale, center = _both(layer, size)
    norm = filled(
        BATCH_NORM[rank](
            size, layer.epsilon, round(1 - layer.momentum, 12), affine=scale is not None, device="meta"
        ),
        weight=_in_order(scale, order),
        bias=_in_order(center, order),
        running_mean=_in_order(_precise(layer.moving_mean), order),
        running_var=_in_order(_precise(layer.moving_variance), order),
        num_batches_tracked=torch.zeros((), dtype=torch.long),
    )
    # Keras runs a frozen one in inference mode, in training too.
    return norm.eval() if trains and not layer.trainable else norm


def _in_order(value: Any, order: Any) -> Any:
    """Return a tensor of features in the order in which torch has them."""
    if order is None or value is None:
        return value
    moved = value.detach()[np.argsort(order)]
    return nn.Parameter(moved, value.requires_grad) if isinstance(value, nn.Parameter) else moved


@rule(layers.LayerNormalization)
def _layer_normalization(call: Call) -> Value:
    axes = call.layer.axis if isinstance(call.layer.axis, list | tuple) else [call.layer.axis]
    axes = sorted(axis % call.x.rank for axis in axes)
    last = list(range(call.x.rank - len(axes), call.x.rank))
    call.refuse_unless(axes == last, f"normalizes axes {axes}, which are not the last ones")
    call.refuse_unless(not call.layer.rms_scaling, "scales by the variance alone (rms_scaling)")
    shape = tuple(call.x.shape[axis] for axis in axes)
    order = call.kept_order
    norm = call.module(lambda layer: _layer_norm(layer, shape, order))
    x = call.x.plain if order is None else call.x.features(order)
    result = described(call, _in_float(call, x, norm))
    result.order = order
    return result


def _layer_norm(layer: Any, shape: Any, order: Any) -> nn.Module:
    scale, center = _full(layer.gamma), _full(layer.beta)
    if scale is None and center is not None:
        scale = nn.Parameter(torch.ones(shape), requires_grad=False)
    return filled(
        nn.LayerNorm(
            shape,
            layer.epsilon,
            elementwise_affine=scale is not None,
            bias=center is not None,
            device="meta",
        ),
        weight=_in_order(scale, order),
        bias=_in_order(center, order),
    )


@rule(layers.GroupNormalization)
def _group_normalization(call: Call) -> Value:
    layout = _channel_layout(call, call.layer.axis)
    size = call.x.shape[call.layer.axis]
    norm = call.module(lambda layer: _group_norm(layer, size))
    return described(call, _in_float(call, call.x.to(layout), norm), layout)


def _group_norm(layer: Any, size: int) -> nn.Module:
    scale, center = _both(layer, size)
    return filled(
        nn.GroupNorm(layer.groups, size, layer.epsilon, affine=scale is not None, device="meta"),
        weight=scale,
        bias=center,
    )


@rule(layers.RMSNormalization)
def _rms_normalization(call: Call) -> Value:
    axes = call.layer.axis if isinstance(call.layer.axis, list | tuple) else [call.layer.axis]
    last = len(axes) == 1 and axes[0] % call.x.rank == call.x.rank - 1
    call.refuse_unless(last, f"normalizes axes {list(axes)} of {call.x.rank}, not the last one alone")

    if call.trains:
        size = int(call.x.shape[-1] or 0)
        return described(
            call, _in_float(call, call.x.plain, call.module(lambda layer: _rms_norm(layer, size)))
        )

    def normalized(x: Any) -> Any:
        return x * torch.rsqrt(torch.square(x).mean(-1, keepdim=True) + call.layer.epsilon)

    scale = call.weight("weight", call.layer.scale)
    return described(call, _in_float(call, call.x.plain, normalized) * scale)


def _rms_norm(layer: Any, size: int) -> nn.Module:
    return filled(nn.RMSNorm(size, layer.epsilon, device="meta"), weight=_full(layer.scale))


@rule(layers.UnitNormalization)
def _unit_normalization(call: Call) -> Value:
    axes = call.layer.axis if isinstance(call.layer.axis, list | tuple) else [call.layer.axis]
    along = [call.x.axis(axis) for axis in axes]

    def normalized(x: Any) -> Any:
        return x * torch.rsqrt(torch.square(x).sum(along, keepdim=True)).clamp(max=1e12)

    return call.x.map(normalized)


@rule(layers.SpectralNormalization)
def _spectral_normalization(call: Call) -> Value:
    call.refuse_unless(
        not call.trains or not call.layer.trainable,
        "normalizes its kernel in training, which is not written here",
    )
    # The kernel that training left is normalized already; inference uses it as it is.
    (result,) = call.delegate(call.layer.layer, [call.x], call.outputs)
    return result


@rule(layers.Normalization)
def _normalization(call: Call) -> Value:
    layer, x = call.layer, call.x
    kind = _weights.dtype(layer.compute_dtype)
    mean, deviation = (_weights.tensor(array).to(kind) for array in (layer.mean, layer.variance))
    deviation = deviation.sqrt().clamp(min=keras.config.epsilon())
    if mean.numel() == deviation.numel() == 1:
        mean, deviation = mean.flatten()[0], deviation.flatten()[0]
    else:
        x = Value(x.plain, shape=x.shape, dtype=x.dtype)
    mean, deviation = call.constant(mean, "mean"), call.constant(deviation, "deviation")
    if call.trains and x.dtype == layer.compute_dtype:
        return x.map(lambda p: p * deviation + mean if layer.invert else (p - mean) / deviation)
    if layer.invert:
        return x.map(lambda p: p.to(kind) * deviation + mean)
    return x.map(lambda p: (p.to(kind) - mean) / deviation)

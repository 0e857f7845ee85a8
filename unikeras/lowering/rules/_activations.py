"""Activation functions, alone or at the end of another layer, and layers that are one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from keras import activations, layers, ops
from keras.src.activations import activations as operations
from torch.nn import functional

from unikeras.lowering._call_refusal import Refusal
from unikeras.lowering._layer_call import Call
from unikeras.lowering._layouts import Layout, Value
from unikeras.lowering._rule_registry import rule
from unikeras.lowering._torch_weights import filled, weight


def sparse_plus(x: Any) -> Any:
    """0 up to -1, the parabola between, x from 1."""
    return torch.where(x < 1, torch.square(torch.clamp(x, min=-1.0) + 1) / 4, x)


def squareplus(x: Any, b: float = 4) -> Any:
    """Half of x + sqrt(x² + b)."""
    return (x + torch.sqrt(torch.square(x) + b)) / 2


def sparsemax(x: Any, axis: int) -> Any:
    """Keras' sparsemax, whose threshold adds up running sums (Martins and Astudillo 2016 add up values)."""
    ordered = torch.sort(x, dim=axis, descending=True).values
    total = torch.cumsum(ordered, axis)
    rank = torch.cumsum(torch.ones_like(x), axis)
    support = (ordered - (total - 1) / rank > 0).to(x.dtype)
    threshold = ((total * support).sum(axis, keepdim=True) - 1) / support.sum(axis, keepdim=True)
    return torch.clamp(x - threshold, min=0.0)


def relu(x: Any, negative_slope: float = 0.0, max_value: Any = None, threshold: float = 0.0) -> Any:
    """Keras' relu with its three parameters."""
    kept = torch.where(x > threshold, x, 0.0) if threshold else functional.relu(x)
    if max_value == 6 and not threshold:
        kept = functional.relu6(x)
    elif max_value is not None:
        kept = torch.clamp(kept, max=float(max_value))
    return kept - negative_slope * functional.relu(threshold - x) if negative_slope else kept


ELEMENTWISE: dict[Any, Callable[[Any], Any]] = {
    activations.celu: functional.celu,
    activations.elu: functional.elu,
    activations.exponential: torch.exp,
    activations.gelu: functional.gelu,
    activations.hard_shrink: functional.hardshrink,
    activations.hard_sigmoid: functional.hardsigmoid,
    activations.hard_silu: functional.hardswish,
    activations.hard_tanh: functional.hardtanh,
    activations.leaky_relu: functools.partial(functional.leaky_relu, negative_slope=0.2),
    activations.log_sigmoid: functional.logsigmoid,
    activations.mish: functional.mish,
    activations.relu: functional.relu,
    activations.relu6: functional.relu6,
    activations.selu: functional.selu,
    activations.sigmoid: torch.sigmoid,
    activations.silu: functional.silu,
    activations.soft_shrink: functional.softshrink,
    activations.softplus: functional.softplus,
    activations.softsign: functional.softsign,
    activations.sparse_plus: sparse_plus,
    activations.sparse_sigmoid: lambda x: torch.clamp(x / 2 + 0.5, 0.0, 1.0),
    activations.squareplus: squareplus,
    activations.tanh: torch.tanh,
    activations.tanh_shrink: functional.tanhshrink,
    ops.celu: functional.celu,
    ops.elu: functional.elu,
    ops.exp: torch.exp,
    ops.gelu: functools.partial(functional.gelu, approximate="tanh"),
    ops.hard_sigmoid: functional.hardsigmoid,
    ops.hard_silu: functional.hardswish,
    ops.leaky_relu: functools.partial(functional.leaky_relu, negative_slope=0.2),
    ops.log_sigmoid: functional.logsigmoid,
    ops.relu: functional.relu,
    ops.relu6: functional.relu6,
    ops.selu: functional.selu,
    ops.sigmoid: torch.sigmoid,
    ops.silu: functional.silu,
    ops.softplus: functional.softplus,
    ops.softsign: functional.softsign,
    ops.sin: torch.sin,
    ops.tanh: torch.tanh,
}

# With the axis that they run along when nobody names one.
ALONG_AN_AXIS: dict[Any, Callable[[Any, int], Any]] = {
    activations.glu: functional.glu,
    activations.log_softmax: torch.log_softmax,
    activations.softmax: torch.softmax,
    activations.sparsemax: sparsemax,
    ops.log_softmax: torch.log_softmax,
    ops.softmax: torch.softmax,
}


def activate(call: Call, function: Any, value: Value) -> Value:
    """Apply a layer's activation function, in the layout that the value has.

    Raises:
        Refusal: no counterpart of the function is known.
    """
    if function is None or function is activations.linear:
        return value
    if function in ELEMENTWISE:
        return value.map(ELEMENTWISE[function])
    if function in ALONG_AN_AXIS:
        return value.map(lambda x: ALONG_AN_AXIS[function](x, value.axis(-1)))
    if isinstance(function, layers.Layer):
        (result,) = call.delegate(function, [value], call.outputs[:1])
        return result
    name = getattr(function, "__name__", type(function).__name__)
    raise Refusal(f"has an activation {name!r} that is not one of keras.activations")


def described(call: Call, proxy: Any, layout: Layout = Layout.PLAIN) -> Value:
    """Return a proxy as the value that the call gives first."""
    tensor = call.outputs[0]
    return Value(proxy, layout, tensor.shape, tensor.dtype)


@rule(layers.Activation)
def _activation(call: Call) -> Value:
    return activate(call, call.layer.activation, call.x)


@rule(layers.ReLU, operations.ReLU)
def _relu(call: Call) -> Value:
    layer = call.layer
    return call.x.map(lambda x: relu(x, layer.negative_slope, layer.max_value, layer.threshold))


@rule(layers.LeakyReLU)
def _leaky_relu(call: Call) -> Value:
    return call.x.map(lambda x: functional.leaky_relu(x, float(call.layer.negative_slope)))


@rule(layers.ELU)
def _elu(call: Call) -> Value:
    return call.x.map(lambda x: functional.elu(x, float(call.layer.alpha)))


@rule(operations.Mish)
def _mish(call: Call) -> Value:
    return call.x.map(functional.mish)


@rule(layers.PReLU)
def _prelu(call: Call) -> Value:
    x = call.x
    if all(size == 1 for size in call.layer.alpha.shape[:-1]):
        layout = Layout.CHANNELS_FIRST
        if call.trains:
            return _prelu_of_channels(call)
        alpha = call.weight("weight", call.layer.alpha, lambda alpha: alpha.flatten())
        return described(call, functional.prelu(x.to(layout), alpha), layout)
    alpha = call.weight("weight", call.layer.alpha)
    return described(call, functional.relu(x.plain) - alpha * functional.relu(-x.plain))


def _prelu_of_channels(call: Call) -> Value:
    alpha, order = call.layer.alpha, call.kept_order
    places = slice(None) if order is None else np.argsort(order)

    def build(layer: Any) -> torch.nn.Module:
        slopes = weight(layer, alpha, lambda alpha: alpha.flatten()[places])
        return filled(torch.nn.PReLU(int(alpha.shape[-1]), device="meta"), weight=slopes)

    x = call.x.to(Layout.CHANNELS_FIRST) if order is None else call.x.features(order)
    result = described(call, call.module(build)(x), Layout.CHANNELS_FIRST)
    result.order = order
    return result


@rule(layers.Softmax)
def _softmax(call: Call) -> Value:
    x, mask = call.x, call.mask()
    axes = call.layer.axis if isinstance(call.layer.axis, tuple | list) else [call.layer.axis]
    if mask is not None:
        floor = {"float16": -3e4}.get(x.dtype, -1e9)
        x = described(call, torch.where(mask, x.plain, floor))
    if len(axes) > 1:
        along = [x.axis(axis) for axis in axes]
        result = x.map(lambda p: torch.exp(p - torch.logsumexp(p, along, keepdim=True)))
    else:
        result = x.map(lambda p: torch.softmax(p, x.axis(axes[0])))
    if mask is not None:
        result = x.map(lambda p: result.own * mask)
    return result

"""Activations, as torch defines them at and beyond their thresholds."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops, random

from unikeras.interop.operators._rules import register_operator


@register_operator("aten.relu")
def relu(x: Any) -> Any:
    return ops.relu(x) if "float" in str(x.dtype) else ops.maximum(x, ops.zeros_like(x))


@register_operator("aten.relu6")
def relu6(x: Any) -> Any:
    return clamp_hard(x, 0.0, 6.0)


@register_operator("aten.hardtanh")
def clamp_hard(x: Any, low: float = -1.0, high: float = 1.0) -> Any:
    return ops.clip(x, low, high)


@register_operator("aten.gelu")
def gelu(x: Any, approximate: str = "none") -> Any:
    return ops.gelu(x, approximate=approximate == "tanh")


@register_operator("aten.silu")
def silu(x: Any) -> Any:
    return ops.silu(x)


@register_operator("aten.mish")
def mish(x: Any) -> Any:
    return x * ops.tanh(_softplus(x))


@register_operator("aten.softplus")
def softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    return ops.where(x * beta > threshold, x, _softplus(x * beta) / beta)


def _softplus(x: Any) -> Any:
    """Return log(1 + exp(x)): Keras' own is x from 20 on, on one backend."""
    return ops.maximum(x, ops.zeros_like(x)) + ops.log1p(ops.exp(-ops.abs(x)))


@register_operator("aten.hardswish")
def hard_swish(x: Any) -> Any:
    return x * hard_sigmoid(x)


@register_operator("aten.hardsigmoid")
def hard_sigmoid(x: Any) -> Any:
    return ops.clip(x + 3, 0, 6) / 6


@register_operator("aten.elu")
def elu(x: Any, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Any:
    # The other branch must stay finite: its gradient is multiplied by 0.
    below = ops.expm1(ops.minimum(x, ops.zeros_like(x)) * input_scale)
    return ops.where(x > 0, x * scale, below * (alpha * scale))


@register_operator("aten.selu")
def selu(x: Any) -> Any:
    return elu(x, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946)


@register_operator("aten.celu")
def celu(x: Any, alpha: float = 1.0) -> Any:
    return elu(x, alpha, 1.0, 1 / alpha)


@register_operator("aten.leaky_relu")
def leaky_relu(x: Any, slope: float = 0.01) -> Any:
    return ops.where(x > 0, x, x * slope)


@register_operator("aten.prelu")
def prelu(x: Any, weight: Any) -> Any:
    if len(x.shape) > 1:
        weight = ops.reshape(weight, [1, -1, *[1] * (len(x.shape) - 2)])
    return prelu_of_equal_axes(x, weight)


@register_operator("aten._prelu_kernel")
def prelu_of_equal_axes(x: Any, weight: Any) -> Any:
    return ops.where(x > 0, x, x * weight)


@register_operator("aten.rrelu", seeded=True)
def random_leaky_relu(
    x: Any,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    generator: Any = None,
    *,
    seed: Any,
) -> Any:
    return _with_random_slopes(x, lower, upper, training, seed)[0]


@register_operator("aten.rrelu_with_noise", seeded=True)
def random_leaky_relu_with_noise(
    x: Any,
    noise: Any,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    generator: Any = None,
    *,
    seed: Any,
) -> Any:
    return _with_random_slopes(x, lower, upper, training, seed)[0]


@register_operator("aten.rrelu_with_noise_functional", seeded=True)
def random_leaky_relu_and_noise(
    x: Any,
    noise: Any,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    generator: Any = None,
    *,
    seed: Any,
) -> tuple[Any, Any]:
    return _with_random_slopes(x, lower, upper, training, seed)


def _with_random_slopes(x: Any, lower: float, upper: float, training: bool, seed: Any) -> tuple[Any, Any]:
    if training:
        slopes = random.uniform(ops.shape(x), dtype=keras.backend.standardize_dtype(x.dtype), seed=seed)
        slopes = slopes * (upper - lower) + lower
    else:
        slopes = ops.full_like(x, (lower + upper) / 2)
    slopes = ops.where(x > 0, ops.ones_like(x), slopes)
    return x * slopes, slopes


@register_operator("aten.glu")
def glu(x: Any, axis: int = -1) -> Any:
    value, gate = ops.split(x, 2, axis)
    return value * ops.sigmoid(gate)


@register_operator("aten.softshrink")
def soft_shrink(x: Any, lambd: float = 0.5) -> Any:
    return ops.where(x > lambd, x - lambd, ops.where(x < -lambd, x + lambd, ops.zeros_like(x)))


@register_operator("aten.hardshrink")
def hard_shrink(x: Any, lambd: float = 0.5) -> Any:
    return ops.where(ops.abs(x) > lambd, x, ops.zeros_like(x))


@register_operator("aten.log_sigmoid")
def log_sigmoid(x: Any) -> Any:
    return -_softplus(-x)


@register_operator("aten.log_sigmoid_forward")
def log_sigmoid_forward(x: Any) -> tuple[Any, Any]:
    return log_sigmoid(x), ops.stop_gradient(ops.exp(-ops.abs(x)))


@register_operator("aten.threshold")
def threshold(x: Any, limit: float, value: float) -> Any:
    return ops.where(x > limit, x, ops.cast(value, x.dtype))

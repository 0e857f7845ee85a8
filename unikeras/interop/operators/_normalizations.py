"""Normalizations and softmax."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from keras import ops

from unikeras.interop.operators._arrays import dtype_here, reshape, shape
from unikeras.interop.operators._rules import register_operator

HALVES = ("float16", "bfloat16")


def _computed(x: Any) -> Any:
    """Return what statistics are computed of: torch computes those of halves in float32."""
    return ops.cast(x, "float32") if any(half in str(x.dtype) for half in HALVES) else x


def _tall(vector: Any, x: Any) -> Any:
    """Lay a vector along the axis of channels."""
    return ops.reshape(vector, [1, -1, *[1] * (len(x.shape) - 2)])


def _standardized(x: Any, axes: Sequence[int], eps: float) -> tuple[Any, Any, Any]:
    """Return x without its mean and scaled to variance 1, the mean, and the scale."""
    mean = ops.mean(x, axes, keepdims=True)
    centered = x - mean
    scale = ops.rsqrt(ops.mean(ops.square(centered), axes, keepdims=True) + eps)
    return centered * scale, mean, scale


def _affine(y: Any, weight: Any, bias: Any) -> Any:
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


# ---- over the batch


def _other_axes(x: Any) -> list[int]:
    return [axis for axis in range(len(x.shape)) if axis != 1]


def _by_channel(x: Any, mean: Any, scale: Any, weight: Any, bias: Any) -> Any:
    """Apply statistics and weights as one factor and one term of each channel."""
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    return x * _tall(scale, x) + _tall(shift, x)


@register_operator("aten._native_batch_norm_legit_no_training")
def normalize_batch_by_running(
    x: Any, weight: Any, bias: Any, mean: Any, variance: Any, momentum: float, eps: float
) -> tuple[Any, Any, Any]:
    mean, variance = ops.stop_gradient(mean), ops.stop_gradient(variance)
    y = _by_channel(_computed(x), mean, ops.rsqrt(variance + eps), weight, bias)
    nothing = ops.zeros((0,), x.dtype)
    return y, nothing, nothing


@register_operator("aten._native_batch_norm_legit.no_stats")
def normalize_batch(
    x: Any, weight: Any, bias: Any, training: bool, momentum: float, eps: float
) -> tuple[Any, Any, Any]:
    y, mean, scale, _ = _normalized_batch(_computed(x), weight, bias, eps)
    return y, ops.stop_gradient(mean), ops.stop_gradient(scale)


def _normalized_batch(x: Any, weight: Any, bias: Any, eps: float) -> tuple[Any, Any, Any, Any]:
    axes = _other_axes(x)
    mean = ops.mean(x, axes)
    centered = x - _tall(mean, x)
    variance = ops.mean(ops.square(centered), axes)
    scale = ops.rsqrt(variance + eps)
    y = centered * _tall(scale if weight is None else scale * weight, x)
    return y if bias is None else y + _tall(bias, x), mean, scale, variance


@register_operator("aten._native_batch_norm_legit_functional")
def normalize_batch_and_update(
    x: Any, weight: Any, bias: Any, mean: Any, variance: Any, training: bool, momentum: float, eps: float
) -> tuple[Any, Any, Any, Any, Any]:
    if not training:
        y, *nothing = normalize_batch_by_running(x, weight, bias, mean, variance, momentum, eps)
        return y, *nothing, ops.stop_gradient(mean), ops.stop_gradient(variance)
    y, *statistics = _normalized_batch(_computed(x), weight, bias, eps)
    now, scale, spread, mean, variance = map(ops.stop_gradient, (*statistics, mean, variance))
    count = ops.cast(math.prod(shape(x)[axis] for axis in _other_axes(x)), spread.dtype)
    # The running variance is the unbiased one.
    spread = spread * (count / (count - 1))
    new_mean = mean + momentum * (ops.cast(now, mean.dtype) - mean)
    return y, now, scale, new_mean, variance + momentum * (ops.cast(spread, variance.dtype) - variance)


# ---- over features


@register_operator("aten.native_layer_norm")
def normalize_layer_with_statistics(
    x: Any, over: Sequence[int], weight: Any, bias: Any, eps: float
) -> tuple[Any, Any, Any]:
    y, mean, scale = _standardized(_computed(x), list(range(-len(over), 0)), eps)
    return _affine(y, weight, bias), ops.stop_gradient(mean), ops.stop_gradient(scale)


@register_operator("aten.layer_norm")
def normalize_layer(
    x: Any, over: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: bool
) -> Any:
    return normalize_layer_with_statistics(x, over, weight, bias, eps)[0]


@register_operator("aten.rms_norm")
def normalize_by_mean_square(
    x: Any, over: Sequence[int], weight: Any = None, eps: float | None = None
) -> Any:
    return normalize_by_mean_square_with_scale(x, over, weight, eps)[0]


@register_operator("aten._fused_rms_norm")
def normalize_by_mean_square_with_scale(
    x: Any, over: Sequence[int], weight: Any, eps: float | None
) -> tuple[Any, Any]:
    own = _computed(x)
    eps = _smallest_step(own.dtype) if eps is None else eps
    scale = ops.rsqrt(ops.mean(ops.square(own), list(range(-len(over), 0)), keepdims=True) + eps)
    return _affine(own * scale, weight, None), scale


def _smallest_step(dtype: Any) -> float:
    """Return the distance from 1 to the next number."""
    return 2.0**-52 if "float64" in str(dtype) else 2.0**-23


@register_operator("aten.native_group_norm")
def normalize_groups_with_statistics(
    x: Any, weight: Any, bias: Any, batch: Any, channels: int, size: Any, groups: int, eps: float
) -> tuple[Any, Any, Any]:
    sizes = shape(x)
    own = reshape(_computed(x), [sizes[0], groups, channels // groups, *sizes[2:]])
    y, mean, scale = _standardized(own, list(range(2, len(own.shape))), eps)
    y = reshape(y, sizes)
    weight, bias = (None if part is None else _tall(part, x) for part in (weight, bias))
    statistics = [reshape(part, [sizes[0], groups]) for part in (mean, scale)]
    return _affine(y, weight, bias), *statistics


@register_operator("aten.group_norm")
def normalize_groups(
    x: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: bool
) -> Any:
    return normalize_groups_with_statistics(x, weight, bias, None, x.shape[1], None, groups, eps)[0]


# ---- softmax


def _converted(x: Any, dtype: Any) -> Any:
    return ops.cast(x, dtype_here(dtype)) if isinstance(dtype, str) else x


@register_operator("aten.softmax.int", "aten._softmax", "aten.special_softmax")
def softmax(x: Any, axis: int, dtype: Any = None) -> Any:
    return ops.softmax(_converted(x, dtype), axis) if len(x.shape) else ops.ones_like(x)


@register_operator("aten.log_softmax.int", "aten._log_softmax", "aten.special_log_softmax")
def log_softmax(x: Any, axis: int, dtype: Any = None) -> Any:
    return ops.log_softmax(_converted(x, dtype), axis) if len(x.shape) else ops.zeros_like(x)


@register_operator("aten._safe_softmax")
def softmax_or_zeros(x: Any, axis: int, dtype: Any = None) -> Any:
    """Compute a softmax that is 0 where all is -inf."""
    x = _converted(x, dtype)
    most = ops.stop_gradient(ops.max(x, axis, keepdims=True))
    weights = ops.exp(x - ops.where(most == -math.inf, ops.zeros_like(most), most))
    total = ops.sum(weights, axis, keepdims=True)
    return weights / ops.where(total == 0, ops.ones_like(total), total)

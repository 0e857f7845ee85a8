"""Losses that torch keeps as one operator."""

from __future__ import annotations

from typing import Any

from keras import ops

from unikeras.interop.operators._normalizations import log_softmax
from unikeras.interop.operators._rules import register_operator

NONE, MEAN, SUM = 0, 1, 2


def _reduced(loss: Any, reduction: int) -> Any:
    return loss if reduction == NONE else ops.mean(loss) if reduction == MEAN else ops.sum(loss)


# ---- of classes


@register_operator("aten.cross_entropy_loss")
def cross_entropy(
    x: Any,
    target: Any,
    weight: Any = None,
    reduction: int = MEAN,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Any:
    axis = 0 if len(x.shape) == 1 else 1
    weight = None if weight is None else ops.stop_gradient(weight)
    logs = log_softmax(x, axis)
    if "int" not in str(target.dtype):
        return _of_shares(logs, target, weight, reduction, label_smoothing, axis)
    loss = _nll(logs, target, weight, reduction, ignore_index)[0]
    if not label_smoothing:
        return loss
    count = x.shape[axis]
    weighted = logs if weight is None else logs * _along(weight, logs, axis)
    is_kept = target != ignore_index
    smooth = ops.where(is_kept, -ops.sum(weighted, axis), ops.cast(0, x.dtype))
    if reduction == MEAN:
        total = ops.sum(_weights(logs, target, weight, is_kept))
        smooth = ops.sum(smooth) / total
    elif reduction == SUM:
        smooth = ops.sum(smooth)
    return (1 - label_smoothing) * loss + label_smoothing / count * smooth


def _of_shares(logs: Any, target: Any, weight: Any, reduction: int, label_smoothing: float, axis: int) -> Any:
    """Compare with the share of each class. The mean is that of the examples."""
    count = logs.shape[axis]
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / count
    weighted = logs if weight is None else logs * _along(weight, logs, axis)
    return _reduced(-ops.sum(weighted * target, axis), reduction)


def _along(weight: Any, logs: Any, axis: int) -> Any:
    return ops.reshape(weight, [-1, *[1] * (len(logs.shape) - axis - 1)])


@register_operator("aten.nll_loss", "aten.nll_loss_nd", "aten.nll_loss2d")
def negative_log_likelihood(
    x: Any, target: Any, weight: Any = None, reduction: int = MEAN, ignore_index: int = -100
) -> Any:
    return _nll(x, target, weight, reduction, ignore_index)[0]


@register_operator("aten.nll_loss_forward", "aten.nll_loss2d_forward")
def negative_log_likelihood_and_weight(
    x: Any, target: Any, weight: Any, reduction: int, ignore_index: int
) -> tuple[Any, Any]:
    return _nll(x, target, weight, reduction, ignore_index)


def _nll(x: Any, target: Any, weight: Any, reduction: int, ignore_index: int) -> tuple[Any, Any]:
    """Return the loss, and the weight of all examples that count."""
    axis = 0 if len(x.shape) == 1 else 1
    weight = None if weight is None else ops.stop_gradient(weight)
    is_kept = target != ignore_index
    classes = ops.where(is_kept, target, ops.zeros_like(target))
    picked = ops.squeeze(ops.take_along_axis(x, ops.expand_dims(classes, axis), axis=axis), axis)
    weights = _weights(x, target, weight, is_kept)
    loss = -picked * weights
    if reduction == NONE:
        return loss, ops.zeros((), x.dtype)
    total = ops.stop_gradient(ops.sum(weights))
    loss = ops.sum(loss)
    return (loss / total if reduction == MEAN else loss), total


def _weights(x: Any, target: Any, weight: Any, is_kept: Any) -> Any:
    """Return the weight of each example: 0 for what is ignored."""
    if weight is None:
        return ops.cast(is_kept, x.dtype)
    classes = ops.where(is_kept, target, ops.zeros_like(target))
    return ops.take(weight, classes, axis=0) * ops.cast(is_kept, x.dtype)


# ---- of numbers


@register_operator("aten.mse_loss")
def squared_error(x: Any, target: Any, reduction: int = MEAN) -> Any:
    return _reduced(ops.square(x - target), reduction)


@register_operator("aten.l1_loss")
def absolute_error(x: Any, target: Any, reduction: int = MEAN) -> Any:
    return _reduced(ops.abs(x - target), reduction)


@register_operator("aten.smooth_l1_loss")
def smooth_absolute_error(x: Any, target: Any, reduction: int = MEAN, beta: float = 1.0) -> Any:
    gap = ops.abs(x - target)
    loss = ops.where(gap < beta, gap * gap * (0.5 / beta), gap - 0.5 * beta) if beta else gap
    return _reduced(loss, reduction)


@register_operator("aten.huber_loss")
def huber(x: Any, target: Any, reduction: int = MEAN, delta: float = 1.0) -> Any:
    gap = ops.abs(x - target)
    return _reduced(ops.where(gap < delta, gap * gap * 0.5, (gap - 0.5 * delta) * delta), reduction)


@register_operator("aten.binary_cross_entropy")
def binary_cross_entropy(x: Any, target: Any, weight: Any = None, reduction: int = MEAN) -> Any:
    loss = -target * _bounded_log(x) - (1 - target) * _bounded_log(1 - x)
    return _reduced(loss if weight is None else loss * ops.stop_gradient(weight), reduction)


def _bounded_log(x: Any) -> Any:
    """Return a logarithm that ends at -100, as torch's."""
    low = ops.full_like(x, -100)
    is_positive = x > 0
    return ops.where(is_positive, ops.maximum(ops.log(ops.where(is_positive, x, ops.ones_like(x))), low), low)


@register_operator("aten.binary_cross_entropy_with_logits")
def binary_cross_entropy_with_logits(
    x: Any, target: Any, weight: Any = None, pos_weight: Any = None, reduction: int = MEAN
) -> Any:
    soft = ops.log1p(ops.exp(-ops.abs(x))) + ops.maximum(-x, ops.zeros_like(x))
    positive = 1 if pos_weight is None else 1 + (ops.stop_gradient(pos_weight) - 1) * target
    loss = (1 - target) * x + positive * soft
    return _reduced(loss if weight is None else loss * ops.stop_gradient(weight), reduction)


@register_operator("aten.kl_div")
def kullback_leibler(x: Any, target: Any, reduction: int = MEAN, *, log_target: bool = False) -> Any:
    if log_target:
        return _reduced(ops.exp(target) * (target - x), reduction)
    is_positive = target > 0
    logs = ops.log(ops.where(is_positive, target, ops.ones_like(target)))
    return _reduced(ops.where(is_positive, target * logs, ops.zeros_like(target)) - target * x, reduction)

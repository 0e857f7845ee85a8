"""Batch normalization in training as torch's own operator, forward and backward.

Keras computes it from a dozen calls that each read and write a whole activation, and autograd adds two dozen more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from keras import layers, ops
from keras.src.backend.torch import nn

from unikeras._keras.patched import patched


class _Normalized(NamedTuple):
    """What was normalized, by what, and the result."""

    inputs: torch.Tensor
    mean: torch.Tensor
    variance: torch.Tensor
    outputs: torch.Tensor


@contextlib.contextmanager
def fused_normalization() -> Iterator[None]:
    """Let Keras' BatchNormalization train by one operator in what this thread runs in the block."""
    latest: list[_Normalized] = []

    def moments(original: Callable[..., Any]) -> Callable[..., Any]:
        def compute(layer: layers.BatchNormalization, inputs: torch.Tensor, mask: Any) -> Any:
            if not _is_usual(layer, inputs, mask):
                return original(layer, inputs, mask)
            latest[:] = [_normalize(layer, inputs)]
            return latest[0].mean, latest[0].variance

        return compute

    def batch_normalization(original: Callable[..., Any]) -> Callable[..., Any]:
        def compute(x: Any, mean: Any, variance: Any, *args: Any, **kwargs: Any) -> Any:
            if latest and (
                latest[0].inputs is x and latest[0].mean is mean and latest[0].variance is variance
            ):
                return latest.pop().outputs
            return original(x, mean, variance, *args, **kwargs)

        return compute

    with (
        patched(layers.BatchNormalization, "_moments", moments),
        patched(nn, "batch_normalization", batch_normalization),
    ):
        yield


_ENOUGH = 32


def _is_usual(layer: layers.BatchNormalization, inputs: torch.Tensor, mask: Any) -> bool:
    """Say whether the layer is Keras' own, without a mask, over the last axis, of enough elements each.

    The variance of few is often small against its terms, and another order of the sum shows in the result.
    """
    return (
        type(layer).call is layers.BatchNormalization.call
        and mask is None
        and not layer.renorm
        and not layer.synchronized
        and layer.axis in (-1, inputs.ndim - 1)
        and all(type(size) is int for size in inputs.shape)
        and inputs.dtype == torch.float32
        and inputs.numel() >= _ENOUGH * inputs.shape[-1]
    )


def _normalize(layer: layers.BatchNormalization, inputs: torch.Tensor) -> _Normalized:
    rows = inputs.reshape(-1, inputs.shape[-1])
    scale = ops.cast(layer.gamma, inputs.dtype) if layer.scale else None
    offset = ops.cast(layer.beta, inputs.dtype) if layer.center else None
    # With a momentum of 1, the running statistics are those of the batch, the variance without bias.
    mean, variance = rows.new_zeros(rows.shape[1]), rows.new_zeros(rows.shape[1])
    outputs = torch.ops.aten._native_batch_norm_legit(
        rows, scale, offset, mean, variance, training=True, momentum=1.0, eps=layer.epsilon
    )[0]
    return _Normalized(inputs, mean, variance * (1 - 1 / rows.shape[0]), outputs.reshape(inputs.shape))

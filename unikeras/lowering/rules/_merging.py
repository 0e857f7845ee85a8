"""Layers that merge tensors, which have to lie alike."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from keras import layers

from unikeras.lowering._layer_call import Call
from unikeras.lowering._layouts import Value, common_layout, physical_axis, same_order
from unikeras.lowering._rule_registry import rule
from unikeras.lowering.rules._activations import described


def _merged(call: Call, merge: Callable[[Sequence[Any]], Any]) -> Value:
    values = call.values
    layout = common_layout(values)
    rank = max(value.rank for value in values)
    order = values[0].order
    if order is not None and all(same_order(order, value.order) for value in values):
        alike = described(call, merge([value.own for value in values]))
        alike.order = order
        return alike
    tensors = [_raised(value.to(layout), value.rank, rank) for value in values]
    result = described(call, merge(tensors), layout)
    masks = [value.mask for value in values]
    if all(mask is not None for mask in masks):
        union = functools.reduce(torch.logical_or, [mask.plain for mask in masks if mask is not None])
        result.mask = Value(union, shape=masks[0].shape, dtype="bool") if masks[0] is not None else None
    return result


def _raised(tensor: Any, rank: int, wanted: int) -> Any:
    """Give a tensor of lower rank axes of size 1 after the batch."""
    return tensor if rank == wanted else _raised(tensor.unsqueeze(1), rank + 1, wanted)


@rule(layers.Add)
def _add(call: Call) -> Value:
    return _merged(call, lambda tensors: functools.reduce(torch.add, tensors))


@rule(layers.Subtract)
def _subtract(call: Call) -> Value:
    return _merged(call, lambda tensors: functools.reduce(torch.sub, tensors))


@rule(layers.Multiply)
def _multiply(call: Call) -> Value:
    return _merged(call, lambda tensors: functools.reduce(torch.mul, tensors))


@rule(layers.Average)
def _average(call: Call) -> Value:
    return _merged(call, lambda tensors: functools.reduce(torch.add, tensors) / len(tensors))


@rule(layers.Maximum)
def _maximum(call: Call) -> Value:
    return _merged(call, lambda tensors: functools.reduce(torch.maximum, tensors))


@rule(layers.Minimum)
def _minimum(call: Call) -> Value:
    return _merged(call, lambda tensors: functools.reduce(torch.minimum, tensors))


@rule(layers.Concatenate)
def _concatenate(call: Call) -> Value:
    values = call.values
    layout = common_layout(values)
    axis = physical_axis(call.layer.axis, values[0].rank, layout)
    if any(value.order is not None for value in values):
        return _concatenated_features(call, values)
    result = described(call, torch.cat([value.to(layout) for value in values], axis), layout)
    result.mask = _concatenated_mask(values, call.layer.axis)
    return result


def _concatenated_features(call: Call, values: Sequence[Value]) -> Value:
    """Concatenate features that lie in orders of their own, each in its order."""
    sizes = [int(value.shape[-1] or 0) for value in values]
    starts = np.cumsum([0, *sizes[:-1]])
    orders = [
        np.arange(size) if value.order is None else value.order
        for value, size in zip(values, sizes, strict=True)
    ]
    result = described(call, torch.cat([value.own for value in values], -1))
    result.order = np.concatenate([start + order for start, order in zip(starts, orders, strict=True)])
    return result


def _concatenated_mask(values: Sequence[Value], axis: int) -> Value | None:
    """Return the mask of a concatenation, as `Concatenate.compute_mask` gives it."""
    if all(value.mask is None for value in values):
        return None
    full = [_full_mask(value) for value in values]
    union = torch.any(torch.cat(full, axis), -1)
    return Value(union, shape=values[0].shape[:-1], dtype="bool")


def _full_mask(value: Value) -> Any:
    if value.mask is None:
        return torch.ones_like(value.plain, dtype=torch.bool)
    if value.mask.rank < value.rank:
        return value.mask.plain.unsqueeze(-1).expand_as(value.plain)
    return value.mask.plain


@rule(layers.Dot)
def _dot(call: Call) -> Value:
    first, second = call.values
    axes = [call.layer.axes] * 2 if isinstance(call.layer.axes, int) else call.layer.axes
    a, b = axes[0] % first.rank, axes[1] % second.rank
    x, y = first.plain, second.plain
    if call.layer.normalize:
        x, y = (
            t * torch.rsqrt(torch.square(t).sum(n, keepdim=True).clamp(min=1e-12))
            for t, n in ((x, a), (y, b))
        )
    names = iter("abcdefghijklmnopqrstuvwxy")
    left = ["z", *(next(names) for _ in range(first.rank - 1))]
    right = ["z", *(next(names) for _ in range(second.rank - 1))]
    right[b] = left[a]
    kept = [name for n, name in enumerate(left) if n != a] + [
        name for n, name in enumerate(right[1:], 1) if n != b
    ]
    product = torch.einsum(f"{''.join(left)},{''.join(right)}->{''.join(kept)}", x, y)
    return described(call, product.unsqueeze(-1) if len(kept) == 1 else product)

"""Attention, written out: where a whole row is masked Keras and torch's fused kernel do not agree."""

from __future__ import annotations

import functools
from typing import Any

import torch
from keras import layers
from torch import nn

from unikeras.lowering._call import Call
from unikeras.lowering._registry import rule
from unikeras.lowering._values import Value
from unikeras.lowering._weights import filled, weight
from unikeras.lowering.rules._activations import described

# Far below any score. Keras takes these in a softmax layer and more in its kernels, which underflow alike.
MASKED = {"float16": -3e4}


@rule(layers.MultiHeadAttention)
def _multi_head_attention(call: Call) -> list[Value]:
    layer = call.layer
    query, value = call.value(call.argument(0, "query")), call.value(call.argument(1, "value"))
    key = call.argument(2, "key")
    key = value if key is None else call.value(key)
    call.refuse_unless(
        query.rank == value.rank == key.rank == 3 and tuple(layer._attention_axes) == (1,),
        "attends over other axes than the second of three",
    )
    query_mask = query.mask
    masks = [*_masks(call, query_mask), *_positions(call, query, value, layer._sliding_window)]
    results = _attend(call, query, key, value, masks, (layer.num_heads, layer.num_heads), layer._use_gate)
    # Keras takes the masks off the very tensors that it is called with.
    query.mask = value.mask = key.mask = None
    results[0].mask = query_mask
    return results


@rule(layers.GroupQueryAttention)
def _grouped_query_attention(call: Call) -> list[Value]:
    layer = call.layer
    query, value = call.value(call.argument(0, "query")), call.value(call.argument(1, "value"))
    key = call.argument(2, "key")
    key = value if key is None else call.value(key)
    masks = [
        *_masks(call, call.kwargs.get("query_mask")),
        *_positions(call, query, value, layer.sliding_window),
    ]
    heads = (layer.num_query_heads, layer.num_key_value_heads)
    return _attend(call, query, key, value, masks, heads, layer.use_gate)


def _masks(call: Call, query_mask: Value | None) -> list[Any]:
    """Return what masks the scores, each of rank 3: (batch, query, key)."""
    found = [] if query_mask is None else [query_mask.plain.bool().unsqueeze(-1)]
    for name in ("value_mask", "key_mask"):
        mask = call.mask(name)
        found += [] if mask is None else [mask.unsqueeze(-2)]
    mask = call.argument(6, "attention_mask")
    if mask is not None:
        mask = call.value(mask)
        found.append(mask.plain.bool() if mask.rank > 2 else mask.plain.bool().unsqueeze(0))
    return found


def _positions(call: Call, query: Value, value: Value, window: int | None) -> list[Any]:
    """Return the masks that depend on positions alone."""
    causal = call.argument(9, "use_causal_mask", False)
    if not causal and window is None:
        return []
    rows, columns = (torch.ones_like(v.plain[:1, :, 0]).cumsum(1) for v in (query, value))
    ahead = rows.unsqueeze(-1) - columns.unsqueeze(-2)
    found = [ahead >= 0] if causal else []
    return found if window is None else [*found, ahead.abs() < window]


def _attend(
    call: Call, query: Value, key: Value, value: Value, masks: list[Any], heads: tuple[int, int], gated: bool
) -> list[Value]:
    layer = call.layer
    q = _project(call, "query", query).unflatten(-1, (heads[0], -1)).transpose(1, 2)
    k, v = (
        _project(call, name, given).unflatten(-1, (heads[1], -1)).transpose(1, 2)
        for name, given in (("key", key), ("value", value))
    )
    if heads[0] != heads[1]:
        k, v = (part.repeat_interleave(heads[0] // heads[1], dim=1) for part in (k, v))
    scale = float(getattr(layer, "_inverse_sqrt_key_dim", None) or layer._inverse_sqrt_head_dim)
    scores = torch.matmul(q * scale, k.transpose(-1, -2))
    if masks:
        mask = functools.reduce(torch.logical_and, masks)
        rank = _mask_rank(call)
        mask = mask if rank == 4 else mask.unsqueeze(1)
        weights = torch.softmax(torch.where(mask, scores, MASKED.get(query.dtype, -1e9)), -1)
        # Keras' softmax layer, which it takes where weights are dropped or returned, zeroes them as well.
        layered = layer.dropout > 0 or len(call.outputs) > 1
        weights = torch.where(mask, weights, 0.0) if layered else weights
    else:
        weights = torch.softmax(scores, -1)
    mixed = torch.matmul(weights, v).transpose(1, 2).flatten(2)
    if gated:
        mixed = mixed * torch.sigmoid(_project(call, "gate", query))
    output = call.module(lambda layer: _dense(layer._output_dense, 2), "output")(mixed)
    results = [
        described(
            call, output.unflatten(-1, call.outputs[0].shape[2:]) if call.outputs[0].ndim > 3 else output
        )
    ]
    if len(call.outputs) > 1:
        results.append(Value(weights))
    return results


def _mask_rank(call: Call) -> int:
    mask = call.argument(6, "attention_mask")
    return 3 if mask is None else max(3, call.value(mask).rank)


def _project(call: Call, name: str, value: Value) -> Any:
    return call.module(lambda layer: _dense(getattr(layer, f"_{name}_dense"), 1), name)(value.plain)


def _dense(einsum: Any, axes_in: int) -> nn.Module:
    """Return a projection of Keras as `nn.Linear` over flat heads; its kernel's first axes are the inputs."""
    shape = einsum.kernel.shape
    size_in = functools.reduce(lambda a, b: a * b, shape[:axes_in])
    size_out = functools.reduce(lambda a, b: a * b, shape[axes_in:])
    return filled(
        nn.Linear(size_in, size_out, bias=einsum.bias is not None, device="meta"),
        weight=weight(einsum, einsum.kernel, lambda k: k.reshape(size_in, size_out).T),
        bias=weight(einsum, einsum.bias, lambda b: b.flatten()),
    )


@rule(layers.Attention, layers.AdditiveAttention)
def _attention(call: Call) -> list[Value]:
    query, value = call.values[0], call.values[1]
    key = call.values[2] if len(call.values) > 2 else value
    q, k, v = query.plain, key.plain, value.plain
    scores = _scores(call, q, k)
    masks = call.kwargs.get("mask") or [None, None]
    kept = [] if masks[1] is None else [call.value(masks[1]).plain.bool().unsqueeze(-2)]
    if call.kwargs.get("use_causal_mask"):
        kept += [_not_ahead(scores)]
    if kept:
        far = 65504.0 if query.dtype == "float16" else 1e9
        scores = torch.where(functools.reduce(torch.logical_and, kept), scores, scores - far)
    weights = torch.softmax(scores, -1)
    mixed = torch.matmul(weights, v)
    if masks[0] is not None:
        mixed = torch.where(call.value(masks[0]).plain.bool().unsqueeze(-1), mixed, 0.0)
    results = [Value(mixed), Value(weights)][: len(call.outputs)]
    results[0].mask = masks[0]
    return results


def _not_ahead(scores: Any) -> Any:
    """Return where a key is not behind its query."""
    ones = torch.ones_like(scores[:1], dtype=torch.int32)
    return ones.cumsum(-2) >= ones.cumsum(-1)


def _scores(call: Call, q: Any, k: Any) -> Any:
    layer = call.layer
    scale = call.weight("scale", layer.scale)
    if type(layer) is layers.AdditiveAttention:
        mixed = torch.tanh(q.unsqueeze(-2) + k.unsqueeze(-3))
        return (mixed if scale is None else scale * mixed).sum(-1)
    if layer.score_mode == "dot":
        scores = torch.matmul(q, k.transpose(-1, -2))
        return scores if scale is None else scores * scale
    mixed = q.unsqueeze(-2) + k.unsqueeze(-3)
    concat = call.weight("concat_score_weight", layer.concat_score_weight)
    return concat * torch.tanh(mixed if scale is None else scale * mixed).sum(-1)

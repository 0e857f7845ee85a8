"""Attention, written out: where a whole row is masked Keras and torch's fused kernel do not agree."""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

import torch
from keras import layers
from torch import nn

from unikeras.lowering._layer_call import Call
from unikeras.lowering._layouts import Value
from unikeras.lowering._rule_registry import rule
from unikeras.lowering._torch_weights import filled, weight
from unikeras.lowering.modules.attention_heads import MultiHeadAttention
from unikeras.lowering.rules._activations import described

# Far below any score. Keras takes these in a softmax layer and more in its kernels, which underflow alike.
MASKED = {"float16": -3e4}


@rule(layers.MultiHeadAttention)
def _multi_head_attention(call: Call) -> list[Value]:
    layer = call.layer
    query, key, value = given = _given(call)
    call.refuse_unless(
        all(one.rank == 3 for one in given) and tuple(layer._attention_axes) == (1,),
        "attends over other axes than the second of three",
    )
    query_mask = query.mask
    whole = call.trains and len(call.outputs) == 1 and not layer._use_gate and layer._sliding_window is None
    if whole and len(call.outputs[0].shape) == 3:
        results = [_attend_in_module(call, given, _masks(call, query_mask))]
        query.mask = value.mask = key.mask = None
        results[0].mask = query_mask
        return results
    masks = [*_masks(call, query_mask), *_positions(call, query, value, layer._sliding_window)]
    results = _attend(call, given, masks, (layer.num_heads, layer.num_heads), layer._use_gate)
    # Keras takes the masks off the very tensors that it is called with.
    query.mask = value.mask = key.mask = None
    results[0].mask = query_mask
    return results


@rule(layers.GroupQueryAttention)
def _grouped_query_attention(call: Call) -> list[Value]:
    layer = call.layer
    query, _, value = given = _given(call)
    query_mask = call.kwargs.get("query_mask")
    masks = [*_masks(call, query_mask), *_positions(call, query, value, layer.sliding_window)]
    return _attend(call, given, masks, (layer.num_query_heads, layer.num_key_value_heads), layer.use_gate)


def _attend_in_module(call: Call, given: tuple[Value, Value, Value], masks: list[Any]) -> Value:
    query, key, value = given
    arguments: dict[str, Any] = {}
    if key is not value:
        arguments["key"] = key.plain
    if masks:
        given_mask = call.argument(6, "attention_mask")
        if given_mask is not None and call.value(given_mask).rank == 4:
            masks = [mask if mask is masks[-1] else mask.unsqueeze(1) for mask in masks]
        arguments["mask"] = functools.reduce(operator.and_, masks)
    if call.argument(9, "use_causal_mask", False):
        arguments["causal"] = True
    return described(call, call.module(_heads)(query.plain, value.plain, **arguments))


def _heads(layer: Any) -> nn.Module:
    parts = {name: getattr(layer, f"_{name}_dense") for name in ("query", "key", "value")}
    sizes = {name: int(part.kernel.shape[0]) for name, part in parts.items()}
    with torch.device("meta"):
        module = MultiHeadAttention(
            sizes["query"],
            layer.num_heads,
            int(layer.key_dim),
            value_size=int(layer.value_dim),
            key_features=sizes["key"],
            value_features=sizes["value"],
            out_features=int(layer._output_dense.kernel.shape[-1]),
            dropout=float(layer.dropout),
            bias=parts["query"].bias is not None,
        )
    for name, part in parts.items():
        setattr(module, name, _dense(part, 1))
    module.attention_output = _dense(layer._output_dense, 2)
    return module


def _given(call: Call) -> tuple[Value, Value, Value]:
    """Return query, key and value; the value is the key where none is given."""
    query, value = call.value(call.argument(0, "query")), call.value(call.argument(1, "value"))
    key = call.argument(2, "key")
    return query, value if key is None else call.value(key), value


def _masks(call: Call, query_mask: Value | None) -> list[Any]:
    """Return what masks the scores: (batch, query, key), or with the heads as a second axis."""
    found = [] if query_mask is None else [call.booleans(query_mask).unsqueeze(-1)]
    for name in ("value_mask", "key_mask"):
        mask = call.mask(name)
        found += [] if mask is None else [mask.unsqueeze(-2)]
    mask = call.argument(6, "attention_mask")
    if mask is not None:
        mask = call.value(mask)
        found.append(call.booleans(mask) if mask.rank > 2 else call.booleans(mask).unsqueeze(0))
    return found


def _positions(call: Call, query: Value, value: Value, window: int | None) -> list[Any]:
    """Return the masks that depend on positions alone: (1, query, key)."""
    causal = call.argument(9, "use_causal_mask", False)
    if not causal and window is None:
        return []
    rows, columns = (
        torch.ones_like(one.plain[:1, :, 0], dtype=torch.int32).cumsum(1) for one in (query, value)
    )
    ahead = rows.unsqueeze(-1) - columns.unsqueeze(-2)
    found = [ahead >= 0] if causal else []
    return found if window is None else [*found, ahead.abs() < window]


def _attend(
    call: Call, given: tuple[Value, Value, Value], masks: list[Any], heads: tuple[int, int], gated: bool
) -> list[Value]:
    """Attend with `heads` for queries and for keys, and return the output and, where asked for, the weights."""
    layer = call.layer
    query, key, value = (
        _project(call, name, one).unflatten(-1, (count, -1)).transpose(1, 2)
        for name, one, count in zip(
            ("query", "key", "value"), given, (heads[0], heads[1], heads[1]), strict=True
        )
    )
    if heads[0] != heads[1]:
        key, value = (one.repeat_interleave(heads[0] // heads[1], dim=1) for one in (key, value))
    scale = float(getattr(layer, "_inverse_sqrt_key_dim", None) or layer._inverse_sqrt_head_dim)
    weights = _softmax(call, torch.matmul(query * scale, key.transpose(-1, -2)), masks, given[0].dtype)
    mixed = torch.matmul(_dropped(call, weights), value).transpose(1, 2).flatten(2)
    if gated:
        mixed = mixed * torch.sigmoid(_project(call, "gate", given[0]))
    name = "attention_output" if call.trains else "output"
    output = call.module(lambda layer: _dense(layer._output_dense, 2), name)(mixed)
    shape = call.outputs[0].shape[2:]
    results = [described(call, output if len(shape) == 1 else output.unflatten(-1, shape))]
    return results if len(call.outputs) == 1 else [*results, Value(weights)]


def _dropped(call: Call, weights: Any) -> Any:
    """Drop weights in training."""
    rate = float(call.layer.dropout)
    return call.module(lambda _: nn.Dropout(rate), "dropout")(weights) if call.trains and rate else weights


def _softmax(call: Call, scores: Any, masks: list[Any], dtype: str) -> Any:
    if not masks:
        return torch.softmax(scores, -1)
    given = call.argument(6, "attention_mask")
    mask = functools.reduce(torch.logical_and, masks)
    mask = mask if given is not None and call.value(given).rank == 4 else mask.unsqueeze(1)
    weights = torch.softmax(torch.where(mask, scores, MASKED.get(dtype, -1e9)), -1)
    # Keras' softmax layer, which it takes where weights are dropped or returned, zeroes them as well.
    layered = call.layer.dropout > 0 or len(call.outputs) > 1
    return torch.where(mask, weights, 0.0) if layered else weights


def _project(call: Call, name: str, value: Value) -> Any:
    return call.module(lambda layer: _dense(getattr(layer, f"_{name}_dense"), 1), name)(value.plain)


def _dense(einsum: Any, axes_in: int) -> nn.Module:
    """Return a projection of Keras as `nn.Linear` over flat heads; its kernel's first axes are the inputs."""
    shape = einsum.kernel.shape
    size_in, size_out = math.prod(shape[:axes_in]), math.prod(shape[axes_in:])
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
    mixed = torch.matmul(_dropped(call, weights), v)
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

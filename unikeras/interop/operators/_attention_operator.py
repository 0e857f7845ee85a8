"""Attention, with every mask that torch takes."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from unikeras.interop.operators._activation_operators import gelu, relu
from unikeras.interop.operators._arrays import reshape, shape
from unikeras.interop.operators._normalizations import normalize_layer, softmax_or_zeros
from unikeras.interop.operators._random_operators import drop
from unikeras.interop.operators._rules import register_operator


@register_operator("aten.scaled_dot_product_attention", seeded=True)
def attend(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
    seed: Any,
) -> Any:
    if enable_gqa:
        repeats = query.shape[-3] // key.shape[-3]
        key, value = (_repeat_heads(part, repeats) for part in (key, value))
    weights = _weights(_scores(query, key, scale), attn_mask, is_causal)
    return ops.matmul(drop(weights, dropout_p, seed), value)


@register_operator("aten._scaled_dot_product_flash_attention_for_cpu", seeded=True)
def attend_with_sums(
    query: Any,
    key: Any,
    value: Any,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    attn_mask: Any = None,
    scale: float | None = None,
    seed: Any,
) -> tuple[Any, Any]:
    scores = _scores(query, key, scale)
    weights = _weights(scores, attn_mask, is_causal)
    sums = ops.logsumexp(_masked(scores, attn_mask, is_causal), -1)
    return ops.matmul(drop(weights, dropout_p, seed), value), ops.stop_gradient(sums)


def _repeat_heads(x: Any, repeats: int) -> Any:
    """Repeat each head for the queries that share it."""
    return ops.repeat(x, repeats, axis=-3) if repeats > 1 else x


def _scores(query: Any, key: Any, scale: float | None) -> Any:
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    return ops.matmul(query * scale, ops.swapaxes(key, -1, -2))


def _is_boolean(mask: Any) -> bool:
    return "bool" in str(mask.dtype)


def _masked(scores: Any, mask: Any, is_causal: bool) -> Any:
    if is_causal:
        # Of unequal lengths the first positions are aligned.
        length, others = shape(scores)[-2:]
        mask = ops.expand_dims(ops.arange(length), 1) >= ops.expand_dims(ops.arange(others), 0)
    if mask is None:
        return scores
    if _is_boolean(mask):
        return ops.where(mask, scores, ops.cast(-math.inf, scores.dtype))
    return scores + ops.cast(mask, scores.dtype)


def _weights(scores: Any, mask: Any, is_causal: bool) -> Any:
    """Return the softmax. A row whose keys are all masked is 0; a causal mask keeps one key of each row."""
    masked = _masked(scores, mask, is_causal)
    return ops.softmax(masked) if mask is None else softmax_or_zeros(masked, -1)


# ---- what torch runs in the place of its own layers for inference

# What a mask says, where it is True: do not look at.
PAIRS, KEYS = 0, 1


@register_operator("aten._native_multi_head_attention")
def attend_in_heads(
    query: Any,
    key: Any,
    value: Any,
    embed_dim: int,
    num_head: int,
    qkv_weight: Any,
    qkv_bias: Any,
    proj_weight: Any,
    proj_bias: Any,
    mask: Any = None,
    need_weights: bool = True,
    average_attn_weights: bool = True,
    mask_type: int | None = None,
) -> tuple[Any, Any]:
    heads = []
    for number, x in enumerate((query, key, value)):
        part = slice(number * embed_dim, (number + 1) * embed_dim)
        y = ops.matmul(x, ops.transpose(qkv_weight[part])) + qkv_bias[part]
        sizes = shape(y)
        heads.append(ops.swapaxes(reshape(y, [*sizes[:2], num_head, embed_dim // num_head]), 1, 2))
    scores = _scores(heads[0], heads[1], None)
    if mask is not None:
        if mask_type == KEYS:
            mask = ops.expand_dims(ops.expand_dims(mask, 1), 1)
        mask = ops.logical_not(mask)
    weights = _weights(scores, mask, False)
    joined = reshape(ops.swapaxes(ops.matmul(weights, heads[2]), 1, 2), [*shape(query)[:2], embed_dim])
    output = ops.matmul(joined, ops.transpose(proj_weight)) + proj_bias
    if not need_weights:
        return output, ops.zeros((0,), output.dtype)
    return output, ops.mean(weights, 1) if average_attn_weights else weights


@register_operator("aten._transformer_encoder_layer_fwd")
def encode_in_layer(
    src: Any,
    embed_dim: int,
    num_heads: int,
    qkv_weight: Any,
    qkv_bias: Any,
    proj_weight: Any,
    proj_bias: Any,
    use_gelu: bool,
    norm_first: bool,
    eps: float,
    norm_weight_1: Any,
    norm_bias_1: Any,
    norm_weight_2: Any,
    norm_bias_2: Any,
    ffn_weight_1: Any,
    ffn_bias_1: Any,
    ffn_weight_2: Any,
    ffn_bias_2: Any,
    mask: Any = None,
    mask_type: int | None = None,
) -> Any:
    def attend_to_self(x: Any) -> Any:
        parts = (qkv_weight, qkv_bias, proj_weight, proj_bias, mask)
        return attend_in_heads(x, x, x, embed_dim, num_heads, *parts, False, mask_type=mask_type)[0]

    def feed_forward(x: Any) -> Any:
        hidden = ops.matmul(x, ops.transpose(ffn_weight_1)) + ffn_bias_1
        hidden = gelu(hidden) if use_gelu else relu(hidden)
        return ops.matmul(hidden, ops.transpose(ffn_weight_2)) + ffn_bias_2

    def first_norm(x: Any) -> Any:
        return normalize_layer(x, [embed_dim], norm_weight_1, norm_bias_1, eps)

    def second_norm(x: Any) -> Any:
        return normalize_layer(x, [embed_dim], norm_weight_2, norm_bias_2, eps)

    if norm_first:
        src = src + attend_to_self(first_norm(src))
        return src + feed_forward(second_norm(src))
    src = first_norm(src + attend_to_self(src))
    return second_norm(src + feed_forward(src))

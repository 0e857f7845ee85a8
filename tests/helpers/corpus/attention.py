"""Attention of each kind, under causal masks, padding masks and none."""

from __future__ import annotations

import keras
from keras import layers


def mha_causal():
    x = keras.Input((None, 8), name="x")
    hidden = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True))
    return keras.Model(x, layers.Dense(3)(hidden))


def mha_padding():
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(9, 8, mask_zero=True)(tokens)
    y = layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x)])
    return keras.Model(tokens, layers.GlobalAveragePooling1D()(y))


def transformer():
    """Return a block of an encoder over words, with both masks."""
    tokens = keras.Input((12,), dtype="int32", name="tokens")
    x = layers.Embedding(20, 8, mask_zero=True)(tokens)
    y = layers.MultiHeadAttention(2, 4, dropout=0.1)(x, x, use_causal_mask=True)
    y = layers.LayerNormalization()(x + y)
    z = layers.Dense(8)(layers.Dense(16, "gelu")(y))
    return keras.Model(tokens, layers.Dense(3)(layers.RMSNormalization()(y + z)))


def cross_attention():
    query, value = keras.Input((None, 8), name="query"), keras.Input((5, 6), name="value")
    options = {"value_dim": 6, "output_shape": 7, "use_bias": False}
    outputs = layers.MultiHeadAttention(2, 3, **options)(query, value, return_attention_scores=True)
    return keras.Model([query, value], outputs)


def group_query_attention():
    x = keras.Input((None, 8), name="x")
    layer = layers.GroupQueryAttention(3, 4, 2)
    return keras.Model(x, [layer(x, x), layers.GroupQueryAttention(3, 2, 1)(x, x, use_causal_mask=True)])


def additive_attention():
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x, y = (layers.Embedding(9, 8, mask_zero=True)(tokens) for _ in range(2))
    outputs = [
        layers.AdditiveAttention()([x, y]),
        layers.Attention(use_scale=True)([x, y], use_causal_mask=True),
    ]
    return keras.Model(tokens, outputs)


MODELS = {
    make.__name__: make
    for make in (
        mha_causal,
        mha_padding,
        transformer,
        cross_attention,
        group_query_attention,
        additive_attention,
    )
}

"""Attention, with every mask there is."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

WORDS = np.array([[3, 1, 2, 5, 0], [1, 2, 0, 0, 0], [0, 4, 0, 1, 2]], "int32")


@pytest.fixture
def masks():
    rng = np.random.default_rng(2)
    mask = rng.random((3, 5, 5)) > 0.4
    mask[..., 0] = True
    return mask


@pytest.mark.parametrize(
    "options",
    [{}, {"use_bias": False}, {"dropout": 0.2, "value_dim": 6, "output_shape": 7}, {"use_gate": True}],
    ids=str,
)
@pytest.mark.parametrize("call", [{}, {"use_causal_mask": True}, {"return_attention_scores": True}], ids=str)
def test_multi_head_attention(options, call, lowered, floats):
    query, value = keras.Input((None, 8)), keras.Input((None, 6))
    model = keras.Model([query, value], layers.MultiHeadAttention(2, 3, **options)(query, value, **call))
    lowered(model, [floats(2, 5, 8), floats(2, 7, 6)], [floats(1, 3, 8), floats(1, 3, 6)])


@pytest.mark.parametrize("call", [{}, {"use_causal_mask": True}, {"return_attention_scores": True}], ids=str)
def test_self_attention_over_words(call, lowered):
    words = keras.Input((None,), dtype="int32")
    x = layers.Embedding(9, 8, mask_zero=True)(words)
    outputs = layers.MultiHeadAttention(2, 4)(x, x, **call)
    lowered(keras.Model(words, outputs), WORDS)


def test_what_attention_does_to_the_masks_around_it(lowered):
    words = keras.Input((None,), dtype="int32")
    x = layers.Embedding(9, 8, mask_zero=True)(words)
    y = layers.Add()([x, layers.Dropout(0.1)(layers.MultiHeadAttention(2, 4)(x, x))])
    z = layers.MultiHeadAttention(2, 4)(layers.LayerNormalization()(y), y)
    lowered(
        keras.Model(words, [layers.GlobalAveragePooling1D()(y), layers.GlobalAveragePooling1D()(z)]), WORDS
    )


@pytest.mark.parametrize("rank", [3, 4])
def test_a_mask_that_is_given(rank, lowered, floats, masks):
    x, mask = keras.Input((None, 8)), keras.Input((None,) * (rank - 1), dtype="bool")
    model = keras.Model([x, mask], layers.MultiHeadAttention(2, 4)(x, x, attention_mask=mask))
    lowered(model, [floats(3, 5, 8), masks if rank == 3 else np.stack([masks, masks[::-1]], 1)])


@pytest.mark.filterwarnings(
    "ignore:(?s).*does not support masking:UserWarning"
)  # Keras, of its own projections
@pytest.mark.parametrize("options", [{}, {"use_bias": False}, {"dropout": 0.1}], ids=str)
@pytest.mark.parametrize("causal", [False, True])
def test_group_query_attention(options, causal, lowered):
    words = keras.Input((None,), dtype="int32")
    x = layers.Embedding(9, 8, mask_zero=True)(words)
    layer = layers.GroupQueryAttention(3, 4, 2, **options)
    lowered(keras.Model(words, layer(x, x, use_causal_mask=causal)), WORDS)


@pytest.mark.parametrize(
    "make",
    [
        layers.Attention,
        lambda: layers.Attention(True, "concat"),
        layers.AdditiveAttention,
        lambda: layers.Attention(use_scale=True),
    ],
)
@pytest.mark.parametrize("call", [{}, {"use_causal_mask": True}, {"return_attention_scores": True}], ids=str)
@pytest.mark.parametrize("masked", [False, True])
def test_attention(make, call, masked, lowered):
    words = keras.Input((None,), dtype="int32")
    x, y = layers.Embedding(9, 8, mask_zero=masked)(words), layers.Embedding(9, 8, mask_zero=masked)(words)
    lowered(keras.Model(words, make()([x, y], **call)), WORDS)


def test_pooling_under_a_mask(lowered):
    words = keras.Input((5,), dtype="int32")
    x = layers.Embedding(9, 8, mask_zero=True)(words)
    y = layers.Embedding(9, 8, mask_zero=True)(words)
    outputs = [
        f(z)
        for z in (layers.Add()([x, y]), layers.Concatenate()([x, y]))
        for f in (layers.GlobalAveragePooling1D(),)
    ]
    lowered(keras.Model(words, outputs), WORDS)


@pytest.mark.parametrize("axis", [-1, 1])
def test_softmax_under_a_mask(axis, lowered, floats, masks):
    x, mask = keras.Input((5, 5)), keras.Input((5, 5), dtype="bool")
    lowered(keras.Model([x, mask], layers.Softmax(axis)(x, mask=mask)), [floats(3, 5, 5), masks])

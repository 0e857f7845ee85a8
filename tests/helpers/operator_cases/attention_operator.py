"""Attention: masks of booleans and of numbers, rows without a key, unequal lengths, shared heads."""

from __future__ import annotations

import numpy as np

from helpers.operator_cases import OperatorCase, flags, made, numbers

Q, K, V = numbers(2, 4, 5, 6), numbers(2, 4, 7, 6, seed=1), numbers(2, 4, 7, 3, seed=2)
FEW = numbers(2, 2, 7, 6, seed=3), numbers(2, 2, 7, 3, seed=4)
MASK = flags(2, 1, 5, 7)
MASK[:, :, 2] = False
SCORES = np.where(flags(5, 7, seed=1), numbers(5, 7), -np.inf)
SCORES[3] = -np.inf

WEIGHTS = (numbers(24, 8), numbers(24), numbers(8, 8, seed=1), numbers(8, seed=1))
KEYS = np.arange(5) >= np.array([[5], [3]])
NORMS = (numbers(8, seed=2), numbers(8, seed=3), numbers(8, seed=4), numbers(8, seed=5))
FORWARD = (numbers(12, 8), numbers(12), numbers(8, 12), numbers(8, seed=6))
SOURCE = numbers(2, 5, 8)


CASES = (
    made(
        plain=("aten.scaled_dot_product_attention.default", Q, K, V),
        of_three_axes=("aten.scaled_dot_product_attention.default", Q[0], K[0], V[0]),
        scale=("aten.scaled_dot_product_attention.default", Q, K, V, {"scale": 0.7}),
        booleans=("aten.scaled_dot_product_attention.default", Q, K, V, MASK),
        scores=("aten.scaled_dot_product_attention.default", Q, K, V, SCORES),
        trained_scores=("aten.scaled_dot_product_attention.default", Q, K, V, numbers(4, 5, 7)),
        causal=("aten.scaled_dot_product_attention.default", Q, K, V, None, 0.0, True),
        causal_longer=("aten.scaled_dot_product_attention.default", K, Q, Q, None, 0.0, True),
        shared_heads=("aten.scaled_dot_product_attention.default", Q, *FEW, MASK, {"enable_gqa": True}),
        all_dropped=("aten.scaled_dot_product_attention.default", Q, K, V, None, 1.0),
        with_sums=(
            "aten._scaled_dot_product_flash_attention_for_cpu.default",
            Q,
            Q + 1,
            Q - 1,
            0.0,
            True,
            {"scale": 0.3},
        ),
    )
    | {
        "with_sums_and_mask": OperatorCase(
            "aten._scaled_dot_product_flash_attention_for_cpu.default",
            (Q, Q + 1, Q - 1),
            {"attn_mask": numbers(2, 1, 5, 5)},
            gradients=False,
        )
    }
    | {
        # TensorFlow's GELU has constants of float32.
        name: OperatorCase(operator, args, gradients=False, tolerance=1e-8)
        for name, operator, args in (
            ("heads", "aten._native_multi_head_attention.default", (SOURCE, SOURCE, SOURCE, 8, 2, *WEIGHTS)),
            (
                "heads_of_keys",
                "aten._native_multi_head_attention.default",
                (SOURCE, SOURCE, SOURCE, 8, 2, *WEIGHTS, KEYS, True, False, 1),
            ),
            (
                "heads_of_pairs",
                "aten._native_multi_head_attention.default",
                (SOURCE, SOURCE, SOURCE, 8, 4, *WEIGHTS, ~np.tri(5, dtype=bool), True, True, 0),
            ),
            (
                "layer",
                "aten._transformer_encoder_layer_fwd.default",
                (SOURCE, 8, 2, *WEIGHTS, False, False, 1e-3, *NORMS, *FORWARD),
            ),
            (
                "layer_first",
                "aten._transformer_encoder_layer_fwd.default",
                (SOURCE, 8, 4, *WEIGHTS, True, True, 1e-3, *NORMS, *FORWARD),
            ),
            (
                "layer_pairs",
                "aten._transformer_encoder_layer_fwd.default",
                (SOURCE, 8, 4, *WEIGHTS, True, False, 1e-3, *NORMS, *FORWARD, ~np.tri(5, dtype=bool), 0),
            ),
            (
                "layer_keys",
                "aten._transformer_encoder_layer_fwd.default",
                (SOURCE, 8, 2, *WEIGHTS, False, True, 1e-2, *NORMS, *FORWARD, KEYS, 1),
            ),
        )
    }
)

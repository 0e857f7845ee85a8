"""Normalizations over the batch, over features and over groups, and softmax."""

from __future__ import annotations

import numpy as np

from helpers.operator_cases import OperatorCase, made, numbers

X = numbers(3, 4, 5, 2)
WEIGHT, BIAS, MEAN, SPREAD = numbers(4), numbers(4, seed=1), numbers(4, seed=2), numbers(4, low=0.2)


def constant_statistics(name):
    """Return torch's operator for tensors of which the running statistics, too, are asked for gradients."""

    def run(x, weight, bias, mean, variance, *rest):
        import torch

        return getattr(torch.ops.aten, name).default(x, weight, bias, mean.detach(), variance.detach(), *rest)

    return run


RUNNING, BATCH = "_native_batch_norm_legit_no_training", "_native_batch_norm_legit_functional"
BY_RUNNING = {
    "running": (RUNNING, X, WEIGHT, BIAS, MEAN, SPREAD, 0.1, 1e-3),
    "running_plain": (RUNNING, X, None, None, MEAN, SPREAD, 0.1, 1e-3),
    "running_matrix": (RUNNING, numbers(3, 4), WEIGHT, BIAS, MEAN, SPREAD, 0.1, 1e-3),
    "batch": (BATCH, X, WEIGHT, BIAS, MEAN, SPREAD, True, 0.2, 1e-3),
    "batch_plain": (BATCH, X, None, None, MEAN, SPREAD, True, 0.2, 1e-3),
    "batch_without_shift": (BATCH, X, WEIGHT, None, MEAN, SPREAD, True, 1.0, 1e-5),
    "batch_of_running": (BATCH, X, WEIGHT, BIAS, MEAN, SPREAD, False, 0.2, 1e-3),
}
DEAD_ROW = np.where([[True, False, True], [True, True, True], [False, False, True]], -np.inf, numbers(3, 3))

CASES = (
    made(
        batch_statistics=("aten._native_batch_norm_legit.no_stats", X, WEIGHT, BIAS, True, 0.1, 1e-3),
        batch_statistics_plain=(
            "aten._native_batch_norm_legit.no_stats",
            numbers(3, 4, 6),
            None,
            None,
            True,
            0.1,
            1e-3,
        ),
        layer=(
            "aten.layer_norm.default",
            numbers(3, 4, 5),
            [4, 5],
            numbers(4, 5),
            numbers(4, 5, seed=1),
            1e-2,
        ),
        layer_plain=("aten.layer_norm.default", numbers(3, 4, 5), [5]),
        layer_statistics=("aten.native_layer_norm.default", numbers(3, 4, 5), [5], numbers(5), None, 1e-2),
        mean_square=("aten.rms_norm.default", numbers(3, 4, 5), [4, 5], numbers(4, 5), 1e-2),
        mean_square_plain=("aten.rms_norm.default", 1e-8 * numbers(3, 4, 5), [5]),
        mean_square_scale=("aten._fused_rms_norm.default", numbers(3, 4, 5), [5], numbers(5), 1e-2),
        group=("aten.group_norm.default", X, 2, WEIGHT, BIAS, 1e-2),
        group_plain=("aten.group_norm.default", X, 4),
        group_statistics=("aten.native_group_norm.default", X, WEIGHT, BIAS, 3, 4, 10, 2, 1e-2),
        softmax=("aten.softmax.int", X, 1),
        softmax_dtype=("aten.softmax.int", numbers(3, 4).astype("float32"), -1, "float64"),
        softmax_node=("aten._softmax.default", X, -2, False),
        log_softmax=("aten.log_softmax.int", X, 1),
        log_softmax_dtype=("aten.log_softmax.int", numbers(3, 4).astype("float32"), 0, "float64"),
        log_softmax_node=("aten._log_softmax.default", X, 0, False),
        safe_softmax=("aten._safe_softmax.default", DEAD_ROW, 1),
        safe_softmax_axis=(
            "aten._safe_softmax.default",
            np.where(numbers(3, 4) < 0.5, -np.inf, numbers(3, 4)),
            0,
        ),
    )
    | {
        name: OperatorCase(f"aten.{operator}.default", tuple(args), answer=constant_statistics(operator))
        for name, (operator, *args) in BY_RUNNING.items()
    }
    | {
        # torch counts the size of the batch into the program: here it may be any.
        "group_statistics": OperatorCase(
            "aten.native_group_norm.default", (X, WEIGHT, BIAS, 3, 4, 10, 2, 1e-2), dynamic=False
        ),
    }
)

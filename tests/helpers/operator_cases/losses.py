"""Losses of classes and of numbers, with each reduction."""

from __future__ import annotations

import numpy as np

from helpers.operator_cases import OperatorCase, made, numbers

LOGITS, CLASSES = numbers(4, 5), np.array([1, 4, 0, 2])
PLACES = np.array([[1, 4, 0], [2, 2, 3]])
IMAGES = numbers(2, 5, 3)
WEIGHT = numbers(5, low=0.1)
SHARES = numbers(4, 5, low=0.0, high=0.4)
X, Y = numbers(3, 4), numbers(3, 4, seed=1)
CHANCES, TRUTH = numbers(3, 4, low=0.1, high=0.9), numbers(3, 4, seed=1, low=0.0, high=1.0)


def of_constants(operator):
    """Return torch's operator for tensors of which the weights, too, are asked for gradients."""

    def run(x, target, *rest):
        import torch

        name = operator.split(".")[1]
        rest = [part.detach() if torch.is_tensor(part) else part for part in rest]
        return getattr(torch.ops.aten, name).default(x, target, *rest)

    return run


CASES = (
    made(
        classes=("aten.cross_entropy_loss.default", LOGITS, CLASSES),
        classes_smooth_each=("aten.cross_entropy_loss.default", IMAGES, PLACES, None, 0, 2, 0.1),
        classes_one=("aten.cross_entropy_loss.default", numbers(5), np.array(3)),
        shares_sum=("aten.cross_entropy_loss.default", LOGITS, SHARES, None, 2),
        likelihood_of_images=("aten.nll_loss2d.default", numbers(2, 5, 3, 1), PLACES[..., None], None, 2, 4),
        squares=("aten.mse_loss.default", X, Y),
        squares_sum=("aten.mse_loss.default", X, Y, 2),
        absolute=("aten.l1_loss.default", X, Y, 0),
        smooth=("aten.smooth_l1_loss.default", X, Y, 1, 0.7),
        smooth_defaults=("aten.smooth_l1_loss.default", X, Y),
        smooth_none=("aten.smooth_l1_loss.default", X, Y, 2, 0.0),
        huber=("aten.huber_loss.default", X, Y, 1, 0.7),
        binary_logits_mean=("aten.binary_cross_entropy_with_logits.default", 20 * X, TRUTH),
        divergence=("aten.kl_div.default", X, TRUTH, 2),
        divergence_logs=("aten.kl_div.default", X, Y, {"log_target": True}),
    )
    | {
        name: OperatorCase(operator, args, gradients=False)
        for name, operator, args in (
            (
                "binary_certain",
                "aten.binary_cross_entropy.default",
                (np.array([0.0, 1.0, 0.5]), np.array([1.0, 0.0, 1.0])),
            ),
            ("likelihood_forward", "aten.nll_loss_forward.default", (LOGITS, CLASSES, WEIGHT, 1, 4)),
            (
                "likelihood2d_forward",
                "aten.nll_loss2d_forward.default",
                (numbers(2, 5, 3, 1), PLACES[..., None], WEIGHT, 1, 4),
            ),
        )
    }
    | {
        # The weights of classes are constants: torch differentiates none of these operators for them.
        name: OperatorCase(operator, args, answer=of_constants(operator))
        for name, operator, args in (
            ("classes_smooth", "aten.cross_entropy_loss.default", (LOGITS, CLASSES, WEIGHT, 1, 2, 0.1)),
            ("classes_smooth_sum", "aten.cross_entropy_loss.default", (IMAGES, PLACES, WEIGHT, 2, 2, 0.1)),
            ("shares", "aten.cross_entropy_loss.default", (LOGITS, SHARES, WEIGHT, 1, -100, 0.1)),
            ("likelihood", "aten.nll_loss.default", (LOGITS, CLASSES, WEIGHT, 1, 4)),
            ("likelihood_of_places", "aten.nll_loss_nd.default", (IMAGES, PLACES, WEIGHT, 0, 4)),
            ("binary", "aten.binary_cross_entropy.default", (CHANCES, TRUTH, X, 2)),
            (
                "binary_logits",
                "aten.binary_cross_entropy_with_logits.default",
                (X, TRUTH, Y, numbers(4, low=0.5), 0),
            ),
        )
    }
)

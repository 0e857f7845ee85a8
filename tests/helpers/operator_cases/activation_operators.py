"""Activations, on both sides of each of their thresholds."""

from __future__ import annotations

import numpy as np

from helpers.operator_cases import OperatorCase, made, numbers

X = np.concatenate(
    [numbers(4, 6, low=-4, high=4), numbers(4, 2, low=20, high=40), numbers(4, 2, low=-40, high=-20)], 1
)

CASES = (
    made(
        relu=("aten.relu.default", X),
        relu_at_zero=("aten.relu.default", np.zeros((2, 3))),
        relu_integers=("aten.relu.default", np.array([[-1, 0, 3]])),
        relu6=("aten.relu6.default", X),
        hardtanh=("aten.hardtanh.default", X, -0.5, 2.0),
        hardtanh_defaults=("aten.hardtanh.default", X),
        silu=("aten.silu.default", X),
        mish=("aten.mish.default", X),
        softplus=("aten.softplus.default", X, 2.0, 3.0),
        softplus_defaults=("aten.softplus.default", X),
        hardswish=("aten.hardswish.default", X),
        elu=("aten.elu.default", X, 0.7, 1.3, 0.9),
        elu_defaults=("aten.elu.default", 30 * X),
        selu=("aten.selu.default", X),
        leaky_relu=("aten.leaky_relu.default", X, 0.3),
        leaky_relu_defaults=("aten.leaky_relu.default", X),
        prelu=("aten.prelu.default", numbers(2, 3, 4), numbers(3)),
        prelu_one=("aten.prelu.default", numbers(2, 3, 4), numbers(1)),
        prelu_vector=("aten.prelu.default", numbers(5), numbers(1)),
        prelu_kernel=("aten._prelu_kernel.default", numbers(2, 3, 4), numbers(1, 3, 1)),
        rrelu=("aten.rrelu.default", X, 0.2, 0.6),
        rrelu_defaults=("aten.rrelu.default", X),
        rrelu_training=("aten.rrelu.default", X, 0.3, 0.3, True),
        glu=("aten.glu.default", numbers(3, 6, 4), 1),
        glu_defaults=("aten.glu.default", numbers(3, 6, 4)),
        softshrink=("aten.softshrink.default", X, 1.5),
        softshrink_defaults=("aten.softshrink.default", numbers(4, 6)),
        hardshrink=("aten.hardshrink.default", X, 1.5),
        hardshrink_defaults=("aten.hardshrink.default", numbers(4, 6)),
        log_sigmoid=("aten.log_sigmoid.default", X),
        log_sigmoid_forward=("aten.log_sigmoid_forward.default", X),
        threshold=("aten.threshold.default", X, 0.5, -3.0),
    )
    | {
        "rrelu_noise": OperatorCase(
            "aten.rrelu_with_noise.default", (X, np.zeros_like(X), 0.2, 0.6), gradients=False
        )
    }
    | {
        # TensorFlow's GELU has constants of float32, and so have the derivatives of torch's own CELU and hard sigmoid.
        "gelu": OperatorCase("aten.gelu.default", (X,), tolerance=1e-7),
        "gelu_tanh": OperatorCase("aten.gelu.default", (X,), {"approximate": "tanh"}, tolerance=1e-7),
        "celu": OperatorCase("aten.celu.default", (X, 0.7), tolerance=1e-7),
        "hardsigmoid": OperatorCase("aten.hardsigmoid.default", (X,), tolerance=1e-7),
    }
)

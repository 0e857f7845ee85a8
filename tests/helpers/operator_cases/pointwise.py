"""Operators of one tensor, element by element."""

from __future__ import annotations

import numpy as np

from helpers.operator_cases import OperatorCase, changed, flags, integers, made, numbers

SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -2.5, 0.5])

ANY_NUMBER = [
    "abs",
    "asinh",
    "atan",
    "ceil",
    "cos",
    "cosh",
    "deg2rad",
    "erf",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "neg",
]
ANY_NUMBER += ["rad2deg", "reciprocal", "sigmoid", "sin", "sinh", "square", "tan", "tanh", "trunc"]
POSITIVE = ["log", "log10", "log1p", "log2", "rsqrt", "sqrt"]
BELOW_ONE = ["acos", "asin", "atanh"]
OF_INTEGERS = ["abs", "ceil", "floor", "neg", "square", "trunc", "exp", "sqrt", "sigmoid"]
OF_INTEGERS += ["isnan", "isinf", "isfinite", "logical_not"]
FLAGS = ["isfinite", "isinf", "isnan", "isneginf", "isposinf", "signbit", "logical_not"]

CASES = {
    **{n: OperatorCase(f"aten.{n}.default", (numbers(3, 4),)) for n in ANY_NUMBER},
    **{n: OperatorCase(f"aten.{n}.default", (numbers(3, 4, low=0.1),)) for n in POSITIVE},
    **{n: OperatorCase(f"aten.{n}.default", (numbers(3, 4, low=-0.9, high=0.9),)) for n in BELOW_ONE},
    "acosh": OperatorCase("aten.acosh.default", (numbers(3, 4, low=1.1, high=3.0),)),
    **{f"{n}_of_specials": OperatorCase(f"aten.{n}.default", (SPECIAL,)) for n in FLAGS},
    **{
        f"{n}_of_specials": OperatorCase(f"aten.{n}.default", (SPECIAL,), gradients=False)
        for n in ["abs", "ceil", "floor", "trunc", "exp", "tanh"]
    },
    **{f"{n}_of_integers": OperatorCase(f"aten.{n}.default", (integers(4, 3, low=0),)) for n in OF_INTEGERS},
}
CASES |= made(
    erfc=("aten.erfc.default", numbers(3, 4)),
    erfinv=("aten.erfinv.default", numbers(3, 4, low=-0.95, high=0.95)),
    exp2_of_integers=("aten.exp2.default", integers(4, 3)),
    bitwise_not=("aten.bitwise_not.default", integers(4, 3)),
    bitwise_not_of_bools=("aten.bitwise_not.default", flags(4, 3)),
    logical_not_of_bools=("aten.logical_not.default", flags(4, 3)),
    sign=("aten.sign.default", SPECIAL),
    sgn=("aten.sgn.default", SPECIAL),
    sign_of_integers=("aten.sign.default", integers(4, 3)),
    sign_of_bools=("aten.sign.default", flags(4, 3)),
    round=("aten.round.default", np.array([0.5, 1.5, 2.5, -0.5, -1.5, 2.4, 2.6])),
    round_of_integers=("aten.round.default", integers(4, 3)),
    round_to_decimals=("aten.round.decimals", numbers(3, 4), {"decimals": 2}),
    round_to_tens=("aten.round.decimals", numbers(3, 4, low=-60, high=60), {"decimals": -1}),
    frac=("aten.frac.default", numbers(3, 4)),
    nan_to_num=("aten.nan_to_num.default", SPECIAL),
    nan_to_given=("aten.nan_to_num.default", SPECIAL, 0.5, 7.0, -8.0),
    nan_to_num_of_integers=("aten.nan_to_num.default", integers(4, 3)),
    logit=("aten.logit.default", numbers(3, 4, low=0.1, high=0.9)),
    logit_with_eps=("aten.logit.default", numbers(3, 4, low=-0.1, high=1.1), 0.2),
    sinc=("aten.sinc.default", numbers(3, 4)),
    sinc_at_zero=("aten.sinc.default", np.array([0.0, 1.0, 0.3])),
)
# torch's derivative of digamma has fewer digits than the rule's.
GAMMA_POINTS = np.array([0.1, 0.5, 0.9, 1.5, 3.0, 7.5, 40.0, -0.3, -2.7])
CASES |= made(lgamma=("aten.lgamma.default", GAMMA_POINTS))
CASES |= changed(made(digamma=("aten.digamma.default", GAMMA_POINTS)), tolerance=1e-10)

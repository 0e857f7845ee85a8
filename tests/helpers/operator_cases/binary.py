"""Arithmetic, comparison, logic, bits, and formulas of several tensors."""

from __future__ import annotations

import numpy as np

from helpers.operator_cases import changed, flags, integers, made, numbers

X, Y, ROW = numbers(4, 3), numbers(4, 3, seed=1), numbers(3, seed=2)
N, M = integers(4, 3), integers(4, 3, seed=1, low=1)
TIED = np.where(np.arange(12).reshape(4, 3) % 3 == 0, X, Y)
P, Q = flags(4, 3), flags(4, 3, seed=1)
# Equal pairs, halves and what is not finite, pairwise.
A = np.array([1.0, 2.0, -1.5, np.nan, 1.0, np.inf, -np.inf, np.inf, 0.0])
B = np.array([1.0, 3.0, -2.5, 1.0, np.nan, 1.0, 2.0, np.inf, 0.0])
SIGNED, DIVISORS = np.array([7.5, -7.5, 7.5, -7.5]), np.array([2.0, 2.0, -2.0, -2.0])
# The quotient 9.999 of the first is 10 in floating point.
FEW, MANY = np.array([1.0, 3.0, -3.0]), np.array([0.1, np.inf, np.inf])
INFINITIES = np.array([-np.inf, np.inf, 1.0]), np.array([-np.inf, 1.0, -np.inf])
WHOLE, BY = np.array([7, -7, 7, -7, 6, -6]), np.array([2, 2, -2, -2, 3, 3])

COMPARED = ["eq", "ne", "lt", "le", "gt", "ge"]
CASES = {
    **made(**{n: (f"aten.{n}.Tensor", A, B) for n in COMPARED}),
    **made(**{f"{n}_of_integers": (f"aten.{n}.Tensor", N, M) for n in COMPARED}),
    **made(**{f"{n}_mixed": (f"aten.{n}.Tensor", N, X) for n in COMPARED}),
    **made(**{f"{n}_number": (f"aten.{n}.Scalar", N, 1) for n in COMPARED}),
    **made(**{f"{n}_real_number": (f"aten.{n}.Scalar", N, 0.5) for n in COMPARED}),
    **made(**{n: (f"aten.{n}.default", P, Q) for n in ["logical_and", "logical_or", "logical_xor"]}),
    **made(
        **{
            f"{n}_of_integers": (f"aten.{n}.default", N, Q)
            for n in ["logical_and", "logical_or", "logical_xor"]
        }
    ),
    **made(**{f"bitwise_{n}": (f"aten.bitwise_{n}.Tensor", N, M) for n in ["and", "or", "xor"]}),
    **made(**{f"bitwise_{n}_of_bools": (f"aten.bitwise_{n}.Tensor", P, Q) for n in ["and", "or", "xor"]}),
    **made(**{f"bitwise_{n}_number": (f"aten.bitwise_{n}.Scalar", N, 6) for n in ["and", "or", "xor"]}),
    **made(**{f"{n}_dunder": (f"aten.__{n}__.Tensor", P, Q) for n in ["and", "or", "xor"]}),
    **made(
        left_shift=("aten.bitwise_left_shift.Tensor", N, integers(4, 3, low=0, high=4)),
        right_shift=("aten.bitwise_right_shift.Tensor", N, integers(4, 3, low=0, high=3)),
        left_shift_dunder=("aten.__lshift__.Scalar", N, 2),
        right_shift_dunder=("aten.__rshift__.Scalar", N, 1),
        add=("aten.add.Tensor", X, ROW, {"alpha": 2.5}),
        add_plain=("aten.add.Tensor", X, Y),
        add_number=("aten.add.Scalar", X, 1.7),
        add_integers=("aten.add.Tensor", N, M, {"alpha": 3}),
        add_mixed=("aten.add.Tensor", N, X),
        add_real_number=("aten.add.Tensor", N, 0.5),
        add_bools=("aten.add.Tensor", P, Q),
        add_bool_and_integer=("aten.add.Tensor", P, 1),
        sub=("aten.sub.Tensor", X, ROW, {"alpha": 2.5}),
        sub_integers=("aten.sub.Tensor", N, M),
        sub_number=("aten.sub.Tensor", N, 2),
        rsub=("aten.rsub.Tensor", X, Y, {"alpha": 2.5}),
        rsub_number=("aten.rsub.Scalar", X, 1.5),
        mul=("aten.mul.Tensor", X, ROW),
        mul_number=("aten.mul.Scalar", X, 0.3),
        mul_bools=("aten.mul.Tensor", P, Q),
        mul_mask=("aten.mul.Tensor", X, P),
        mul_integers=("aten.mul.Tensor", N, M),
        div=("aten.div.Tensor", X, ROW),
        div_number=("aten.div.Scalar", X, 0.3),
        div_integers=("aten.div.Tensor", N, M),
        div_floor=("aten.div.Tensor_mode", SIGNED, DIVISORS, {"rounding_mode": "floor"}),
        div_trunc=("aten.div.Tensor_mode", SIGNED, DIVISORS, {"rounding_mode": "trunc"}),
        div_floor_of_integers=("aten.div.Tensor_mode", WHOLE, BY, {"rounding_mode": "floor"}),
        div_trunc_of_integers=("aten.div.Tensor_mode", WHOLE, BY, {"rounding_mode": "trunc"}),
        div_floor_by_number=("aten.div.Scalar_mode", WHOLE, 4, {"rounding_mode": "floor"}),
        div_by_zero=("aten.div.Tensor_mode", ROW, np.array([0.0, 0.0, 2.0]), {"rounding_mode": "floor"}),
        floor_divide=("aten.floor_divide.default", WHOLE, BY),
        remainder=("aten.remainder.Tensor", SIGNED, DIVISORS),
        remainder_of_integers=("aten.remainder.Tensor", WHOLE, BY),
        remainder_by_number=("aten.remainder.Scalar", X, -0.7),
        fmod=("aten.fmod.Tensor", SIGNED, DIVISORS),
        fmod_of_integers=("aten.fmod.Tensor", WHOLE, BY),
        fmod_by_number=("aten.fmod.Scalar", X, -0.7),
        pow=("aten.pow.Tensor_Tensor", np.abs(X), ROW),
        pow_of_number=("aten.pow.Scalar", 1.7, X),
        **{
            f"pow_{n}": ("aten.pow.Tensor_Scalar", np.abs(X), n)
            for n in [-2, -1, -0.5, 0, 0.5, 1, 2, 3.0, 4, 5, 2.3]
        },
        pow_3_of_any=("aten.pow.Tensor_Scalar", X, 3),
        pow_5_of_any=("aten.pow.Tensor_Scalar", X, 5),
        pow_of_integers=("aten.pow.Tensor_Scalar", N, 3),
        pow_of_integers_by_real=("aten.pow.Tensor_Scalar", M, 0.3),
        maximum=("aten.maximum.default", X, TIED),
        minimum=("aten.minimum.default", X, TIED),
        max_other=("aten.max.other", N, M),
        min_other=("aten.min.other", N, M),
        maximum_of_bools=("aten.maximum.default", P, Q),
        minimum_of_bools=("aten.minimum.default", P, Q),
        fmax=("aten.fmax.default", A, B),
        fmin=("aten.fmin.default", A, B),
        clamp=("aten.clamp.default", np.array([-1.0, -0.5, 0.0, 0.5, 1.0, np.inf]), -0.5, 0.5),
        clamp_below=("aten.clamp.default", X, {"min": 0.2}),
        clamp_above=("aten.clamp.default", X, {"max": 0.2}),
        clamp_crossed=("aten.clamp.default", X, 0.5, -0.5),
        clamp_tensors=("aten.clamp.Tensor", X, ROW, Y),
        clamp_ties=("aten.clamp.Tensor", ROW, ROW, ROW + 1),
        clamp_integers=("aten.clamp.default", N, -1, 2),
        clamp_min=("aten.clamp_min.default", X, 0.3),
        clamp_max=("aten.clamp_max.default", X, 0.3),
        clamp_min_tensor=("aten.clamp_min.Tensor", X, ROW),
        where=("aten.where.self", P, X, ROW),
        where_number=("aten.where.ScalarOther", P, X, 0.7),
        where_number_first=("aten.where.ScalarSelf", P, 0.7, X),
        where_integers=("aten.where.self", P, N, M),
        where_mixed=("aten.where.self", P, N, X),
        atan2=("aten.atan2.default", X, Y),
        hypot=("aten.hypot.default", X, Y),
        logaddexp=("aten.logaddexp.default", X * 100, Y * 100),
        logaddexp2=("aten.logaddexp2.default", X, Y),
        xlogy=("aten.xlogy.Tensor", np.array([0.0, 0.0, 1.5, -2.0]), np.array([-3.0, 2.0, 0.3, 3.0])),
        xlog1py=(
            "aten.special_xlog1py.default",
            np.array([0.0, 0.0, 1.5, -2.0]),
            np.array([-3.0, 2.0, 0.3, 3.0]),
        ),
        copysign=("aten.copysign.Tensor", X, np.where(Y > 1, -0.0, Y)),
        copysign_number=("aten.copysign.Scalar", X, -1.0),
        lerp=("aten.lerp.Scalar", X, Y, 0.3),
        lerp_tensor=("aten.lerp.Tensor", X, Y, ROW),
        addcmul=("aten.addcmul.default", X, Y, ROW, {"value": 0.7}),
        addcdiv=("aten.addcdiv.default", X, Y, ROW, {"value": 0.7}),
        addcmul_plain=("aten.addcmul.default", X, Y, ROW),
        addcdiv_plain=("aten.addcdiv.default", X, Y, ROW),
        isclose=("aten.isclose.default", A, B + 1e-7),
        isclose_within=("aten.isclose.default", X, X + 0.3, 0.1, 0.2),
        isclose_to_nan=("aten.isclose.default", A, A, {"equal_nan": True}),
        isclose_to_nan_not=("aten.isclose.default", A, A),
        isclose_integers=("aten.isclose.default", N, M, 0.1, 1.0),
    ),
    **changed(
        made(
            floor_divide_reals=("aten.floor_divide.default", SIGNED, DIVISORS),
            heaviside=("aten.heaviside.default", np.array([-1.5, 0.0, 2.0]), np.array([0.3, 0.4, 0.5])),
            div_floor_of_few=("aten.div.Tensor_mode", FEW, MANY, {"rounding_mode": "floor"}),
            remainder_of_few=("aten.remainder.Tensor", FEW, MANY),
            fmod_of_few=("aten.fmod.Tensor", FEW, MANY),
            maximum_of_nan=("aten.maximum.default", A, B),
            minimum_of_nan=("aten.minimum.default", A, B),
            clamp_nan=("aten.clamp.default", A, -0.5, 0.5),
            logaddexp_of_infinities=("aten.logaddexp.default", *INFINITIES),
            xlogy_at_zeros=("aten.xlogy.Tensor", np.array([0.0, 0.0, 1.0]), np.array([0.0, np.nan, 0.0])),
        ),
        gradients=False,
    ),
}

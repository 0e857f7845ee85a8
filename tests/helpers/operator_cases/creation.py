"""Operators that make tensors, casts and copies."""

from __future__ import annotations

import numpy as np

from helpers.operator_cases import OperatorCase, Size, changed, flags, integers, made, numbers

X, N, P = numbers(4, 3), integers(4, 3), flags(4, 3)
SQUARE = numbers(2, 4, 5)
WITH_DTYPE = {"dtype": "float64"}

CASES = made(
    to_copy=("aten._to_copy.default", X, {"dtype": "int64"}),
    to_copy_same=("aten._to_copy.default", X),
    to_copy_bool=("aten._to_copy.default", N, {"dtype": "bool"}),
    to_copy_half=("aten._to_copy.default", X, {"dtype": "bfloat16"}),
    to_copy_of_bools=("aten._to_copy.default", P, {"dtype": "float64"}),
    to_dtype=("aten.to.dtype", X, "int32"),
    to_other=("aten.to.other", X, N),
    to_dtype_layout=("aten.to.dtype_layout", N, {"dtype": "float64"}),
    to_device=("aten.to.device", X, "cpu", "int64"),
    type_as=("aten.type_as.default", N, X),
    alias=("aten.alias.default", X),
    clone=("aten.clone.default", X),
    contiguous=("aten.contiguous.default", X),
    lift_fresh_copy=("aten.lift_fresh_copy.default", X),
    detach=("aten.detach.default", X),
    full=("aten.full.default", [Size(), 3], 2.5, WITH_DTYPE),
    full_integers=("aten.full.default", [2, Size(2)], 7),
    full_bools=("aten.full.default", [Size()], True),
    full_as=("aten.full.default", [2], 3.7, {"dtype": "int64"}),
    full_like=("aten.full_like.default", X, 0.3),
    full_like_as=("aten.full_like.default", X, 3, {"dtype": "int64"}),
    fill=("aten.fill.Scalar", X, 0.3),
    fill_tensor=("aten.fill.Tensor", X, np.array(0.7)),
    new_full=("aten.new_full.default", X, [Size(), 2], 0.3),
    new_full_as=("aten.new_full.default", X, [2], 3, {"dtype": "int64"}),
    zeros=("aten.zeros.default", [Size(), 2], WITH_DTYPE),
    ones=("aten.ones.default", [Size(), 2], {"dtype": "int64"}),
    zeros_default=("aten.zeros.default", [2]),
    zeros_like=("aten.zeros_like.default", X),
    zeros_like_as=("aten.zeros_like.default", X, {"dtype": "bool"}),
    ones_like=("aten.ones_like.default", N),
    ones_like_as=("aten.ones_like.default", N, WITH_DTYPE),
    new_zeros=("aten.new_zeros.default", X, [Size(), 5]),
    new_ones=("aten.new_ones.default", X, [2, Size()], {"dtype": "int64"}),
    zero=("aten.zero.default", X),
    scalar_tensor=("aten.scalar_tensor.default", 2.3, WITH_DTYPE),
    scalar_tensor_default=("aten.scalar_tensor.default", 2),
    arange=("aten.arange.default", Size()),
    arange_of_real=("aten.arange.default", 2.5, WITH_DTYPE),
    arange_start=("aten.arange.start", 2, Size(2)),
    arange_as=("aten.arange.start", 1, Size(1, 3), WITH_DTYPE),
    arange_step=("aten.arange.start_step", 1, Size(3), 2),
    arange_down=("aten.arange.start_step", 5, -2, -2),
    arange_reals=("aten.arange.start_step", 0.1, 1.9, 0.3, WITH_DTYPE),
    linspace=("aten.linspace.default", -1.5, 2.5, 7, WITH_DTYPE),
    linspace_integers=("aten.linspace.default", 0, 10, 6, {"dtype": "int64"}),
    logspace=("aten.logspace.default", -1, 2, 5, 2.0, WITH_DTYPE),
    eye=("aten.eye.default", Size(), WITH_DTYPE),
    eye_m=("aten.eye.m", 3, Size(), WITH_DTYPE),
    tril=("aten.tril.default", SQUARE),
    tril_above=("aten.tril.default", SQUARE, 1),
    triu=("aten.triu.default", SQUARE),
    triu_below=("aten.triu.default", X, -1),
    tril_of_bools=("aten.tril.default", P),
    tril_indices=("aten.tril_indices.default", 3, 4, -1),
    triu_indices=("aten.triu_indices.default", 3, 4, 1),
    one_hot=("aten.one_hot.default", integers(4, 2, low=0, high=3), 4),
    diag_embed=("aten.diag_embed.default", X),
    diag_embed_moved=("aten.diag_embed.default", X, 1, 0, 2),
    diag_embed_below=("aten.diag_embed.default", X, -2),
    convert_element_type=("prims.convert_element_type.default", X, "int64"),
) | {
    "iota": OperatorCase(
        "prims.iota.default",
        (5,),
        {"start": 2, "step": 3, "dtype": "int64", "device": "cpu", "requires_grad": False},
    ),
    **changed(
        made(copy=("aten.copy.default", X, numbers(3)), copy_of_reals=("aten.copy.default", N, X)),
        gradients=False,
    ),
    "stop": OperatorCase("unikeras_program.stop", (X,), answer=lambda x: x.detach()),
}

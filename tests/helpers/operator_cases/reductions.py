"""Operators that reduce axes."""

from __future__ import annotations

import math

import numpy as np

from helpers.operator_cases import changed, flags, integers, made, numbers

X = numbers(4, 3, 2)
N = integers(4, 3, 2)
P = flags(4, 3, 2)
TIES = np.array([[1.0, 3.0, 3.0, -2.0], [5.0, -2.0, 5.0, 5.0], [-2.0, -2.0, 0.0, 0.0]])
WITH_NAN = np.array([[1.0, np.nan, 3.0, np.inf], [np.nan, np.nan, 2.0, -np.inf], [0.0, 1.0, 2.0, 5.0]])
FLAT = np.full((2, 3), 1.5)
EMPTY = np.zeros((3, 0, 2))
ORDERS = {"0": 0, "1": 1, "2": 2, "3": 3, "half": 0.5, "inf": math.inf, "minus_inf": -math.inf, "minus_2": -2}

CASES = made(
    sum=("aten.sum.default", X),
    sum_of_integers=("aten.sum.default", N),
    sum_of_bools=("aten.sum.default", P),
    sum_as=("aten.sum.default", N, {"dtype": "float64"}),
    nansum_dim=("aten.nansum.default", WITH_NAN[:2, :3], [0]),
    count_nonzero_of_reals=("aten.count_nonzero.default", TIES),
    std_dim_plain=("aten.std.dim", X, [1]),
    vector_norm_plain=("aten.linalg_vector_norm.default", X),
    sum_dims=("aten.sum.dim_IntList", X, [0, -1]),
    sum_keepdim=("aten.sum.dim_IntList", X, [-2], True),
    sum_no_dims=("aten.sum.dim_IntList", X, []),
    sum_of_bools_dims=("aten.sum.dim_IntList", P, [1], False, {"dtype": "int64"}),
    sum_of_none=("aten.sum.dim_IntList", EMPTY, [1]),
    sum_of_scalar=("aten.sum.dim_IntList", np.array(2.5), [-1]),
    nansum=("aten.nansum.default", WITH_NAN[1:2, :3], 1, True),
    mean=("aten.mean.default", X),
    mean_as=("aten.mean.default", N, {"dtype": "float64"}),
    mean_dims=("aten.mean.dim", X, [1, -1]),
    mean_keepdim=("aten.mean.dim", X, [0], True),
    prod=("aten.prod.default", X),
    prod_of_integers=("aten.prod.default", integers(3, 2, low=1)),
    prod_dim=("aten.prod.dim_int", X, 1),
    prod_keepdim=("aten.prod.dim_int", X, -1, True),
    prod_with_zero=("aten.prod.dim_int", np.array([[2.0, 0.0, 3.0], [0.0, 0.0, 1.0]]), 1),
    amax=("aten.amax.default", TIES, [1]),
    amax_of_all=("aten.amax.default", TIES),
    amax_keepdim=("aten.amax.default", X, [0, 2], True),
    amin=("aten.amin.default", TIES, [-1]),
    amin_keepdim=("aten.amin.default", X, [1], True),
    amin_of_integers=("aten.amin.default", N, [1]),
    aminmax=("aten.aminmax.default", X, {"dim": 1}),
    aminmax_keepdim=("aten.aminmax.default", X, {"dim": 2, "keepdim": True}),
    max_of_all=("aten.max.default", TIES),
    min_of_all=("aten.min.default", TIES),
    max_dim=("aten.max.dim", TIES, 1),
    max_dim_keepdim=("aten.max.dim", X, -2, True),
    min_dim=("aten.min.dim", TIES, -1),
    min_dim_keepdim=("aten.min.dim", X, 0, True),
    argmax=("aten.argmax.default", TIES),
    argmax_dim=("aten.argmax.default", TIES, 1),
    argmax_keepdim=("aten.argmax.default", X, -2, True),
    argmax_of_integers=("aten.argmax.default", N, 0),
    argmin=("aten.argmin.default", TIES),
    argmin_dim=("aten.argmin.default", TIES, -1),
    argmin_keepdim=("aten.argmin.default", X, 0, True),
    all=("aten.all.default", P),
    all_dim=("aten.all.dim", P, 1, True),
    all_dims=("aten.all.dims", P, [0, 2]),
    all_of_integers=("aten.all.dim", N, -1),
    any=("aten.any.default", P),
    any_dim=("aten.any.dim", P, -1),
    any_dims=("aten.any.dims", P, [1, 2], True),
    any_of_reals=("aten.any.dim", TIES, 0),
    count_nonzero=("aten.count_nonzero.default", N),
    count_nonzero_dims=("aten.count_nonzero.dim_IntList", N, [0, 2]),
    logsumexp=("aten.logsumexp.default", X * 400, [1]),
    logsumexp_keepdim=("aten.logsumexp.default", X, [0, -1], True),
    var=("aten.var.default", X),
    var_biased=("aten.var.default", X, False),
    var_dim=("aten.var.dim", X, [0, 2]),
    var_dim_biased=("aten.var.dim", X, [1], False, True),
    var_correction=("aten.var.correction", X, [0], {"correction": 1.5, "keepdim": True}),
    var_no_correction=("aten.var.correction", X, [1, 2]),
    var_correction_0=("aten.var.correction", X, [-1], {"correction": 0}),
    var_mean=("aten.var_mean.correction", X, [1], {"correction": 0}),
    var_mean_keepdim=("aten.var_mean.correction", X, [0, 1], {"keepdim": True}),
    std=("aten.std.default", X),
    std_biased=("aten.std.default", X, False),
    std_dim=("aten.std.dim", X, [0, 2], False, True),
    std_correction=("aten.std.correction", X, [0], {"correction": 0, "keepdim": True}),
    std_mean=("aten.std_mean.correction", X, [1], {"correction": 0}),
    std_mean_keepdim=("aten.std_mean.correction", X, [0, 1], {"keepdim": True}),
    std_of_equals=("aten.std.correction", FLAT, [1]),
    **{f"vector_norm_{n}": ("aten.linalg_vector_norm.default", X, p, [1]) for n, p in ORDERS.items()},
    vector_norm_keepdim=("aten.linalg_vector_norm.default", X, 2, [0, 2], True),
    vector_norm_of_zeros=("aten.linalg_vector_norm.default", np.zeros((2, 3)), 2, [1]),
    norm=("aten.norm.ScalarOpt_dim", X, 3, [-1], True),
    norm_of_all=("aten.norm.Scalar", X, 2),
    norm_default=("aten.norm.ScalarOpt_dim", X, None, [0]),
    median=("aten.median.default", X),
    median_dim=("aten.median.dim", X, 0),
    median_keepdim=("aten.median.dim", X, 1, True),
) | changed(
    made(
        sum_as_integers=("aten.sum.dim_IntList", X * 3, [1], {"dtype": "int64"}),
        prod_as_integers=("aten.prod.default", X[0] * 3, {"dtype": "int64"}),
        prod_dim_as_integers=("aten.prod.dim_int", X * 3, 1, {"dtype": "int64"}),
        nansum_as_integers=("aten.nansum.default", X * 3, [0], {"dtype": "int64"}),
        max_of_nan=("aten.amax.default", WITH_NAN, [1]),
        min_of_nan=("aten.amin.default", WITH_NAN, [0]),
        argmax_of_nan=("aten.argmax.default", WITH_NAN, 1),
        argmin_of_nan=("aten.argmin.default", WITH_NAN, 1),
        mean_of_none=("aten.mean.dim", EMPTY, [1]),
        var_of_one=("aten.var.correction", X[:, :1], [1]),
        logsumexp_of_infinities=(
            "aten.logsumexp.default",
            np.array([[-np.inf] * 3, [np.inf, 1.0, 2.0]]),
            [1],
        ),
    ),
    gradients=False,
)

"""Operators that order elements, search in order, or run along an axis."""

from __future__ import annotations

import numpy as np

from helpers.operator_cases import changed, flags, integers, made, numbers

X = numbers(4, 3, 6)
N = integers(4, 3, 6)
TIES = np.array([[2.0, 1.0, 2.0, 1.0, 3.0], [1.0, 1.0, 1.0, 0.0, 5.0], [4.0, 3.0, 3.0, 4.0, 4.0]])
WITH_NAN = np.array([[1.0, np.nan, 3.0, 2.0], [np.nan, -np.inf, 2.0, 0.0]])
EDGES = np.array([-1.5, -0.5, 0.5, 1.0])
AT_EDGES = np.array([[-2.0, -1.5, 0.0], [0.5, 0.7, 1.0], [3.0, -0.5, 0.9], [1.5, 1.0, -3.0]])

CASES = made(
    sort=("aten.sort.default", X),
    sort_first=("aten.sort.default", X, 0),
    sort_down=("aten.sort.default", X, 1, True),
    sort_stable=("aten.sort.stable", TIES, {"stable": True, "dim": 1}),
    sort_stable_down=("aten.sort.stable", TIES, {"stable": True, "dim": 1, "descending": True}),
    sort_stable_first=("aten.sort.stable", X, {"stable": True, "dim": 0}),
    argsort_default=("aten.argsort.default", X),
    sort_integers=("aten.sort.stable", N, {"stable": True, "descending": True}),
    argsort=("aten.argsort.default", X, 1),
    argsort_down=("aten.argsort.default", X, 2, True),
    argsort_stable=("aten.argsort.stable", TIES, {"stable": True, "dim": 1, "descending": True}),
    topk=("aten.topk.default", X, 3),
    topk_dim=("aten.topk.default", X, 2, 1),
    topk_smallest=("aten.topk.default", X, 2, 0, False),
    topk_integers=("aten.topk.default", np.argsort(X), 2),
    kthvalue=("aten.kthvalue.default", X, 2),
    kthvalue_keepdim=("aten.kthvalue.default", X, 3, 0, True),
    cumsum=("aten.cumsum.default", X, 1),
    cumsum_first=("aten.cumsum.default", X, 0),
    cumsum_bools=("aten.cumsum.default", flags(4, 5), -1),
    cumsum_as=("aten.cumsum.default", N, 1, {"dtype": "float64"}),
    cumsum_of_scalar=("aten.cumsum.default", np.array(2.5), 0),
    cumprod=("aten.cumprod.default", X, 2),
    cumprod_integers=("aten.cumprod.default", integers(4, 3), 1),
    cumprod_with_zero=("aten.cumprod.default", np.array([[2.0, 0.0, 3.0, 0.0], [1.0, 2.0, 3.0, 4.0]]), 1),
    logcumsumexp=("aten.logcumsumexp.default", X * 100, 1),
    cummax=("aten.cummax.default", TIES, 1),
    cummin=("aten.cummin.default", TIES, -1),
    diff=("aten.diff.default", X),
    diff_twice=("aten.diff.default", X, 2, 1),
    diff_between=("aten.diff.default", X, 1, -1, X[:, :, :1], X[:, :, :2]),
    diff_of_bools=("aten.diff.default", flags(4, 5), 1, 1),
    bucketize=("aten.bucketize.Tensor", AT_EDGES, EDGES),
    bucketize_right=("aten.bucketize.Tensor", AT_EDGES, EDGES, {"right": True}),
    searchsorted=("aten.searchsorted.Tensor", EDGES, AT_EDGES),
    searchsorted_rows=("aten.searchsorted.Tensor", np.sort(TIES), AT_EDGES[:3], {"right": True}),
    searchsorted_side=("aten.searchsorted.Tensor", EDGES, AT_EDGES, {"side": "right"}),
    searchsorted_sorter=(
        "aten.searchsorted.Tensor",
        EDGES[::-1].copy(),
        AT_EDGES,
        {"sorter": np.array([3, 2, 1, 0]), "out_int32": True},
    ),
    searchsorted_number=("aten.searchsorted.Scalar", EDGES, 0.6),
) | changed(
    made(
        cumsum_as_integers=("aten.cumsum.default", X * 3, 1, {"dtype": "int64"}),
        cumprod_as_integers=("aten.cumprod.default", X * 3, 1, {"dtype": "int64"}),
        sort_nan=("aten.sort.default", WITH_NAN),
        sort_nan_down=("aten.sort.default", WITH_NAN, 1, True),
    ),
    gradients=False,
)

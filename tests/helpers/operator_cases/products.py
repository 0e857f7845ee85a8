"""Products of matrices."""

from __future__ import annotations

import numpy as np

from helpers.operator_cases import integers, made, numbers

A, B = numbers(4, 3), numbers(3, 5)
V, W = numbers(3), numbers(3, seed=1)
BATCH, OTHER = numbers(4, 2, 3), numbers(4, 3, 5)
NAN = np.full((4, 5), np.nan)

CASES = made(
    mm=("aten.mm.default", A, B),
    bmm=("aten.bmm.default", BATCH, OTHER),
    mv=("aten.mv.default", A, V),
    dot=("aten.dot.default", V, W),
    vdot=("aten.vdot.default", V, W),
    inner=("aten.inner.default", A, numbers(5, 3)),
    matmul=("aten.matmul.default", BATCH, B),
    matmul_batches=("aten.matmul.default", numbers(4, 1, 2, 3), numbers(6, 3, 5)),
    matmul_vector=("aten.matmul.default", BATCH, V),
    matmul_of_vector=("aten.matmul.default", V, OTHER),
    matmul_integers=("aten.matmul.default", integers(4, 3), integers(3, 5)),
    linear=("aten.linear.default", BATCH, numbers(5, 3), numbers(5)),
    linear_plain=("aten.linear.default", A, numbers(5, 3)),
    linear_of_vector=("aten.linear.default", V, numbers(5, 3), numbers(5)),
    addmm=("aten.addmm.default", numbers(5), A, B),
    addmm_scaled=("aten.addmm.default", numbers(4, 5), A, B, {"beta": 0.3, "alpha": 0.7}),
    addmm_without=("aten.addmm.default", NAN, A, B, {"beta": 0}),
    addmv=("aten.addmv.default", numbers(4), A, V, {"beta": 0.3, "alpha": 0.7}),
    baddbmm=("aten.baddbmm.default", numbers(4, 2, 5), BATCH, OTHER, {"beta": 0.3, "alpha": 0.7}),
    addbmm=("aten.addbmm.default", numbers(2, 5), BATCH, OTHER, {"beta": 0.3, "alpha": 0.7}),
    addr=("aten.addr.default", numbers(3, 5), V, numbers(5), {"beta": 0.3, "alpha": 0.7}),
    addbmm_plain=("aten.addbmm.default", numbers(2, 5), BATCH, OTHER),
    addr_plain=("aten.addr.default", numbers(3, 5), V, numbers(5)),
    outer=("aten.outer.default", V, numbers(5)),
    bilinear=("aten.bilinear.default", numbers(4, 3), numbers(4, 2), numbers(5, 3, 2), numbers(5)),
    bilinear_plain=("aten.bilinear.default", numbers(4, 3), numbers(4, 2), numbers(5, 3, 2)),
    einsum=("aten.einsum.default", "bij, bjk -> bik", [BATCH, OTHER]),
    einsum_implicit=("aten.einsum.default", "bj,bij", [A, BATCH]),
    einsum_dots=("aten.einsum.default", "...ij,jk->...ki", [BATCH, B]),
    einsum_one=("aten.einsum.default", "bij->jb", [BATCH]),
    einsum_diagonal=("aten.einsum.default", "bii->bi", [numbers(4, 3, 3)]),
    einsum_trace=("aten.einsum.default", "bii", [numbers(4, 3, 3)]),
    einsum_three=("aten.einsum.default", "bi,bij,jk->k", [numbers(4, 2), BATCH, B]),
)

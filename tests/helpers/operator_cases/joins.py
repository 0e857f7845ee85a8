"""Operators that join tensors, take them apart, and repeat them."""

from __future__ import annotations

import numpy as np

from helpers.operator_cases import Size, changed, integers, made, numbers

X, Y = numbers(4, 3, 5), numbers(4, 3, 5, seed=1)
N = integers(4, 3, 5)

CASES = made(
    cat=("aten.cat.default", [X, Y], 1),
    cat_first=("aten.cat.default", [X, Y]),
    cat_unequal=("aten.cat.default", [X, Y[:, :, :2], X[:, :, 1:]], -1),
    cat_mixed=("aten.cat.default", [N, X], 1),
    cat_empty=("aten.cat.default", [np.zeros((0,)), X]),
    stack=("aten.stack.default", [X, Y], 1),
    stack_last=("aten.stack.default", [X, Y], -1),
    stack_first=("aten.stack.default", [X, Y]),
    split=("aten.split.Tensor", X, 2, 2),
    split_equal=("aten.split.Tensor", X, 1, -2),
    split_sizes=("aten.split_with_sizes.default", X, [1, 3, 1], -1),
    split_sizes_overload=("aten.split.sizes", X, [1, 2], 1),
    chunk=("aten.chunk.default", X, 2, 2),
    chunk_few=("aten.chunk.default", X, 4, 2),
    unbind=("aten.unbind.int", X, 1),
    unbind_last=("aten.unbind.int", X, -1),
    repeat=("aten.repeat.default", X, [2, 1, 3]),
    repeat_front=("aten.repeat.default", X, [2, Size(), 1, 2]),
    tile=("aten.tile.default", X, [2]),
    repeat_interleave=("aten.repeat_interleave.self_int", X, 2, 1),
    repeat_interleave_first=("aten.repeat_interleave.self_int", X, 3, 0),
    repeat_interleave_size=("aten.repeat_interleave.self_int", X, Size(), -1),
    repeat_interleave_all=("aten.repeat_interleave.self_int", X, 2),
    repeat_integers=("aten.repeat.default", N, [1, 2, 1]),
) | changed(
    made(
        split_first=("aten.split.Tensor", X, 3),
        split_first_sizes=("aten.split_with_sizes.default", X, [1, 3]),
        chunk_first=("aten.chunk.default", X, 3),
        unbind_first=("aten.unbind.int", X),
    ),
    dynamic=False,
)

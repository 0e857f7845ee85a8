"""Operators that read and write places which tensors name."""

from __future__ import annotations

import numpy as np

from helpers.operator_cases import Size, changed, flags, integers, made, numbers

X, Y = numbers(4, 3, 5), numbers(4, 3, 5, seed=1)
N = integers(4, 3, 5)
ROWS, COLUMNS, LAST = np.array([2, 0, -1, 2]), np.array([1, -1, 0, 1]), np.array([4, -2, 0, 1])
GRID = np.array([[0, 2], [1, -1], [3, 3]])
MASK = flags(4, 3, 5)
INTO = np.array([[2, 0, 1, 2, 0], [1, 2, 0, 0, 1], [0, 1, 2, 1, 2], [0, 0, 0, 1, 1]])[:, None]
# Places without repetition, and with.
ONCE = np.stack([np.random.default_rng(place).permutation(5)[:3] for place in range(12)]).reshape(4, 3, 3)
TWICE = np.array([0, 2, 0, 1, 1, 2, 2, 0, 3, 3, 1, 0] * 5).reshape(4, 3, 5)
END = 2**63 - 1

CASES = made(
    index=("aten.index.Tensor", X, [ROWS]),
    index_two=("aten.index.Tensor", X, [ROWS, COLUMNS]),
    index_later=("aten.index.Tensor", X, [None, COLUMNS]),
    index_later_two=("aten.index.Tensor", X, [None, COLUMNS, LAST]),
    index_apart=("aten.index.Tensor", X, [ROWS, None, LAST]),
    index_grid=("aten.index.Tensor", X, [GRID]),
    index_broadcast=("aten.index.Tensor", X, [GRID[:, :1], None, LAST[None, :2]]),
    index_of_integers=("aten.index.Tensor", N, [None, None, LAST]),
    unsafe_index=("aten._unsafe_index.Tensor", X, [None, COLUMNS]),
    unsafe_masked_index=("aten._unsafe_masked_index.default", X, flags(3, 2, 1, 1), [GRID * 2], 0.5),
    index_select=("aten.index_select.default", X, 1, np.array([2, 0, 2])),
    index_select_last=("aten.index_select.default", X, -1, np.array([4, 1])),
    take=("aten.take.default", X, GRID[:1]),
    gather=("aten.gather.default", X, 1, INTO),
    gather_last=("aten.gather.default", X, -1, ONCE),
    gather_shorter=("aten.gather.default", X, 2, ONCE[:2, :2, :1]),
    masked_fill=("aten.masked_fill.Scalar", X, MASK[:, :, :1], 0.3),
    masked_fill_infinity=("aten.masked_fill.Scalar", X, MASK, -np.inf),
    masked_fill_tensor=("aten.masked_fill.Tensor", X, MASK, np.array(0.7)),
    masked_fill_integers=("aten.masked_fill.Scalar", N, MASK, 9),
    masked_scatter=("aten.masked_scatter.default", X, MASK, Y),
    slice_scatter=("aten.slice_scatter.default", X, Y[:, :, :3], 2, 1, 4),
    slice_scatter_first=("aten.slice_scatter.default", X, Y, 0, 0, END),
    slice_scatter_end=("aten.slice_scatter.default", X, Y[:, :2], 1, -2, END),
    slice_scatter_negative=("aten.slice_scatter.default", X, Y[:, :, :2], -1, -3, -1),
    slice_scatter_step=("aten.slice_scatter.default", X, Y[:, :, :2], 2, 1, 5, 2),
    slice_scatter_size=("aten.slice_scatter.default", X, Y, 0, 0, Size()),
    slice_scatter_default=("aten.slice_scatter.default", X, Y[1:], {"start": 1}),
    select_scatter=("aten.select_scatter.default", X, Y[:, 0], 1, 1),
    select_scatter_last=("aten.select_scatter.default", X, Y[:, :, 0], 2, -1),
    select_scatter_before=("aten.select_scatter.default", X, Y[:, :, 0], 2, -2),
    select_scatter_first=("aten.select_scatter.default", X, Y[0], 0, 1),
    index_put=("aten.index_put.default", X, [np.array([2, -4])], Y[:2]),
    index_put_two=("aten.index_put.default", X, [np.array([2, -4]), np.array([0, 1])], Y[:2, 0]),
    index_put_later=("aten.index_put.default", X, [None, np.array([2, 0])], Y[:, :2]),
    index_put_broadcast=("aten.index_put.default", X, [None, np.array([2, 0])], Y[:, :1]),
    index_put_apart=("aten.index_put.default", X, [np.array([1, 3]), None, np.array([4, -2])], Y[:2, :, 0]),
    index_put_number=("aten.index_put.default", X, [np.array([1, 3])], np.array(0.7)),
    index_put_added=("aten.index_put.default", X, [ROWS, None, LAST], Y[:, :, 0], True),
    index_put_mask=("aten.index_put.default", X, [MASK], np.array(0.7)),
    index_put_mask_added=("aten.index_put.default", X, [MASK[:, :, 0]], np.array([0.7]), True),
    index_put_later_mask=("aten.index_put.default", X, [None, MASK[0]], np.array(0.7)),
    unsafe_index_put=("aten._unsafe_index_put.default", X, [None, np.array([2, 0])], Y[:, :2], True),
    index_add=("aten.index_add.default", X, 1, np.array([2, 0, 2]), Y, {"alpha": 0.7}),
    index_add_last=("aten.index_add.default", X, -1, np.array([2, 0, 2]), Y[:, :, :3]),
    index_copy=("aten.index_copy.default", X, 1, np.array([2, 0]), Y[:, :2]),
    index_fill=("aten.index_fill.int_Scalar", X, 1, np.array([2, 0]), 0.7),
    index_fill_one=("aten.index_fill.int_Scalar", X, 2, np.array([3, 0]), 0.7),
    index_fill_tensor=("aten.index_fill.int_Tensor", X, -1, np.array([2, 0]), np.array(0.7)),
    scatter=("aten.scatter.src", X, 2, ONCE, Y[:, :, :3]),
    scatter_shorter=("aten.scatter.src", X, -1, ONCE[:, :2], Y[:, :2, :3]),
    scatter_value=("aten.scatter.value", X, 2, ONCE, 0.7),
    scatter_add=("aten.scatter_add.default", X, 2, TWICE, Y),
    scatter_add_axis=("aten.scatter_add.default", X, 1, INTO, Y[:, :1]),
    scatter_added=("aten.scatter.reduce", N, 1, INTO, N, {"reduce": "add"}),
    scatter_sum=("aten.scatter_reduce.two", X, 2, TWICE, Y, "sum"),
    scatter_sum_alone=("aten.scatter_reduce.two", X, 2, TWICE, Y, "sum", {"include_self": False}),
    scatter_mean=("aten.scatter_reduce.two", X, 2, TWICE, Y, "mean"),
    scatter_mean_alone=("aten.scatter_reduce.two", X, 2, TWICE, Y, "mean", {"include_self": False}),
) | changed(
    made(
        index_add_first=("aten.index_add.default", X, 0, ROWS % 4, Y),
        scatter_first=("aten.scatter.src", X, 0, integers(1, 3, 5, low=0, high=4), Y[:1]),
        scatter_of_longer=("aten.scatter.src", X, -1, ONCE[:, :2], Y),
        scatter_multiplied=("aten.scatter.reduce", X, 1, INTO, Y, {"reduce": "multiply"}),
        scatter_prod=("aten.scatter_reduce.two", X, 2, TWICE, Y, "prod"),
        scatter_amax=("aten.scatter_reduce.two", X, 2, TWICE, Y, "amax"),
        scatter_amax_alone=("aten.scatter_reduce.two", X, 2, TWICE, Y, "amax", {"include_self": False}),
        scatter_amin=("aten.scatter_reduce.two", X, 2, TWICE, Y, "amin"),
    ),
    gradients=False,
)

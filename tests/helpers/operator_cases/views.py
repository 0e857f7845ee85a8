"""Operators that show a tensor in another shape, and slices."""

from __future__ import annotations

import numpy as np

from helpers.operator_cases import Size, changed, integers, made, numbers

X = numbers(4, 3, 6)
N = integers(4, 3, 6)
ONES = numbers(4, 1, 3, 1)
END = 2**63 - 1

CASES = made(
    view=("aten.view.default", X, [Size(3), 6]),
    view_rest=("aten.view.default", X, [Size(), -1]),
    view_two=("aten.view.default", X, [2, Size(3), -1]),
    unsafe_view=("aten._unsafe_view.default", X, [Size(), 2, 9]),
    reshape=("aten.reshape.default", X, [-1, 3]),
    reshape_integers=("aten.reshape.default", N, [3, Size(6)]),
    reshape_to_scalar=("aten.reshape.default", np.array([[2.5]]), []),
    view_as=("aten.view_as.default", X, numbers(4, 18)),
    flatten=("aten.flatten.using_ints", X, 1),
    flatten_first=("aten.flatten.using_ints", X, 0, 1),
    flatten_all=("aten.flatten.using_ints", X),
    flatten_scalar=("aten.flatten.using_ints", np.array(2.5)),
    unflatten=("aten.unflatten.int", X, -1, [2, 3]),
    unflatten_rest=("aten.unflatten.int", X, 2, [-1, 2]),
    unflatten_first=("aten.unflatten.int", X, 0, [1, -1]),
    expand=("aten.expand.default", ONES, [-1, 2, -1, 5]),
    expand_front=("aten.expand.default", X, [2, Size(), 3, 6]),
    expand_as=("aten.expand_as.default", X[:1], X),
    permute=("aten.permute.default", X, [2, 0, -2]),
    transpose=("aten.transpose.int", X, 0, -1),
    transpose_later=("aten.transpose.int", X, 1, 2),
    t=("aten.t.default", X[:, 0]),
    t_of_vector=("aten.t.default", X[:, 0, 0]),
    mt=("aten.mT.default", X),
    movedim=("aten.movedim.int", X, 0, -1),
    movedim_list=("aten.movedim.intlist", X, [0, 1], [2, 0]),
    unsqueeze=("aten.unsqueeze.default", X, 1),
    unsqueeze_last=("aten.unsqueeze.default", X, -1),
    squeeze=("aten.squeeze.default", ONES),
    squeeze_dim=("aten.squeeze.dim", ONES, 1),
    squeeze_dim_of_three=("aten.squeeze.dim", ONES, 2),
    squeeze_dims=("aten.squeeze.dims", ONES, [1, -1, 2]),
    squeeze_first=("aten.squeeze.dim", ONES, 0),
    slice=("aten.slice.Tensor", X, 2, 1, 5, 2),
    slice_from=("aten.slice.Tensor", X, {"start": 1}),
    slice_first=("aten.slice.Tensor", X, 0, 1, Size(1, -1)),
    slice_to_end=("aten.slice.Tensor", X, 0, 1, END),
    slice_negative=("aten.slice.Tensor", X, -1, -4, -1),
    slice_far=("aten.slice.Tensor", X, 1, -9, 9),
    slice_none=("aten.slice.Tensor", X, 1, 2, 1),
    slice_default=("aten.slice.Tensor", X),
    select=("aten.select.int", X, 1, 2),
    select_last=("aten.select.int", X, 0, -1),
    select_size=("aten.select.int", X, 0, Size(1, -2)),
    narrow=("aten.narrow.default", X, 2, 1, 3),
    narrow_negative=("aten.narrow.default", X, 0, -3, 2),
    narrow_size=("aten.narrow.default", X, 0, 1, Size(1, -2)),
    diagonal=("aten.diagonal.default", X),
    diagonal_above=("aten.diagonal.default", X, 2, 1, 2),
    diagonal_below=("aten.diagonal.default", X, -1, -1, 0),
    diagonal_of_integers=("aten.diagonal.default", N, -1, 0, 2),
    unfold=("aten.unfold.default", X, 2, 3, 2),
    unfold_first=("aten.unfold.default", X, 0, 2, 1),
    flip=("aten.flip.default", X, [0, -1]),
    flip_nothing=("aten.flip.default", X, []),
    roll=("aten.roll.default", X, [1, -2], [0, 2]),
    roll_all=("aten.roll.default", X, [5]),
) | changed(
    made(broadcast_in_dim=("prims.broadcast_in_dim.default", X[:, 0], [Size(), 2, 6], [0, 2])),
    gradients=False,
)

"""Pools; the numbers of `levels` repeat, so that a window has several maxima, of which the first one counts."""

from __future__ import annotations

import numpy as np

from helpers.operator_cases import integers, made, numbers


def levels(*shape: int) -> np.ndarray:
    """Return numbers of which many are equal."""
    return integers(*shape, low=-2, high=3).astype("float64")


CASES = made(
    max1d=("aten.max_pool1d.default", numbers(2, 3, 9), [3], [2], [1]),
    max1d_dilated=("aten.max_pool1d.default", numbers(2, 3, 9), [3], [2], [1], [2], True),
    max1d_without_batch=("aten.max_pool1d.default", numbers(3, 9), [2]),
    max2d=("aten.max_pool2d.default", numbers(2, 3, 8, 7), [3, 2], [2, 1], [1, 0]),
    max2d_negative=("aten.max_pool2d.default", -3 + numbers(2, 3, 8, 7), [3], [2], [1]),
    max2d_defaults=("aten.max_pool2d.default", numbers(2, 3, 8, 7), [2]),
    max2d_equal=("aten.max_pool2d.default", levels(2, 3, 8, 8), [3, 3], [2, 2], [1, 1]),
    max2d_ceil=("aten.max_pool2d.default", numbers(2, 3, 8, 6), [3, 2], [2, 3], [1, 1], [1, 1], True),
    max2d_ceil_dilated=("aten.max_pool2d.default", numbers(2, 3, 8, 6), [2, 2], [2, 3], [1, 0], [2, 1], True),
    max3d=(
        "aten.max_pool3d.default",
        numbers(2, 2, 5, 4, 6),
        [2, 3, 2],
        [2, 1, 2],
        [1, 1, 0],
        [1, 1, 1],
        True,
    ),
    max1d_indices=("aten.max_pool1d_with_indices.default", levels(2, 3, 9), [3], [2], [1], [1], True),
    max2d_indices=(
        "aten.max_pool2d_with_indices.default",
        levels(2, 3, 8, 7),
        [3, 2],
        [2, 1],
        [1, 0],
        [1, 2],
    ),
    max2d_indices_defaults=("aten.max_pool2d_with_indices.default", levels(2, 3, 8, 7), [2, 2]),
    max2d_indices_ceil=("aten.max_pool2d_with_indices.default", levels(2, 3, 8, 6), [3], [3], [1], [1], True),
    max2d_indices_without_batch=("aten.max_pool2d_with_indices.default", numbers(3, 6, 6), [2]),
    max3d_indices=("aten.max_pool3d_with_indices.default", levels(2, 2, 5, 4, 6), [2, 3, 2], [2], [1, 1, 0]),
    unpool2d=(
        "aten.max_unpool2d.default",
        numbers(2, 1, 2, 2),
        np.array([[[[0, 3], [9, 11]]], [[[1, 2], [4, 15]]]]),
        [4, 5],
    ),
    unpool3d=(
        "aten.max_unpool3d.default",
        numbers(2, 1, 1, 2, 1),
        np.array([[[[[0], [5]]]], [[[[3], [7]]]]]),
        [2, 2, 2],
        [2, 2, 2],
        [0, 0, 0],
    ),
    average1d=("aten.avg_pool1d.default", numbers(2, 3, 9), [3], [2], [1]),
    average1d_ceil=("aten.avg_pool1d.default", numbers(2, 3, 10), [3], [2], [1], True, False),
    average2d=("aten.avg_pool2d.default", numbers(2, 3, 8, 7), [3, 2], [2, 1], [1, 0]),
    average2d_defaults=("aten.avg_pool2d.default", numbers(2, 3, 8, 7), [3]),
    average2d_inside=("aten.avg_pool2d.default", numbers(2, 3, 8, 7), [3, 2], [2, 1], [1, 1], False, False),
    average2d_ceil=("aten.avg_pool2d.default", numbers(2, 3, 8, 6), [3, 2], [2, 3], [1, 1], True, True),
    average2d_ceil_inside=(
        "aten.avg_pool2d.default",
        numbers(2, 3, 8, 6),
        [3, 2],
        [2, 3],
        [1, 1],
        True,
        False,
    ),
    average2d_divisor=(
        "aten.avg_pool2d.default",
        numbers(2, 3, 8, 6),
        [3, 2],
        [2, 3],
        [1, 1],
        True,
        False,
        5,
    ),
    average2d_without_batch=("aten.avg_pool2d.default", numbers(3, 6, 6), [2], [2], [1]),
    average3d=(
        "aten.avg_pool3d.default",
        numbers(2, 2, 5, 4, 6),
        [2, 3, 2],
        [2, 1, 2],
        [1, 1, 0],
        True,
        False,
    ),
    adaptive_average1d=("aten.adaptive_avg_pool1d.default", numbers(2, 3, 7), [3]),
    adaptive_average2d=("aten.adaptive_avg_pool2d.default", numbers(2, 3, 7, 8), [3, 4]),
    adaptive_average2d_one=("aten.adaptive_avg_pool2d.default", numbers(2, 3, 7, 8), [1, 1]),
    adaptive_average2d_longer=("aten._adaptive_avg_pool2d.default", numbers(2, 3, 3, 5), [7, 5]),
    adaptive_average3d=("aten._adaptive_avg_pool3d.default", numbers(2, 2, 5, 4, 6), [2, 1, 4]),
    adaptive_max1d=("aten.adaptive_max_pool1d.default", levels(2, 3, 7), [3]),
    adaptive_max2d=("aten.adaptive_max_pool2d.default", levels(2, 3, 7, 8), [3, 5]),
    adaptive_max3d=("aten.adaptive_max_pool3d.default", numbers(2, 2, 5, 4, 6), [2, 1, 4]),
)

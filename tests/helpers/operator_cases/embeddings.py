"""Rows of a table, and sums, means and maxima of rows in bags of which one is empty."""

from __future__ import annotations

import numpy as np

from helpers.operator_cases import OperatorCase, integers, made, numbers

TABLE = numbers(7, 4)
INDICES = np.array([1, 2, 4, 4, 0, 6, 3, 2])
# torch counts how often an index was taken at a wrong place: here all are taken as often.
TWICE = np.array([1, 2, 4, 4, 1, 2])
OFFSETS = np.array([0, 3, 3, 7])
WITH_END = np.array([0, 3, 3, 7, 8])
SHARES = numbers(8)

CASES = made(
    rows=("aten.embedding.default", TABLE, integers(3, 5, low=0, high=7)),
    rows_padding=("aten.embedding.default", TABLE, integers(3, 5, low=0, high=7), 2),
    bags_sum=("aten._embedding_bag.default", TABLE, INDICES, OFFSETS, False, 0, False, SHARES, False, 4),
    bags_sum_plain=("aten._embedding_bag.default", TABLE, INDICES, OFFSETS),
    bags_mean=("aten._embedding_bag.default", TABLE, INDICES, OFFSETS, False, 1, False, None, False, 4),
    bags_max=("aten._embedding_bag.default", TABLE, INDICES, OFFSETS, False, 2),
    rows_frequent=("aten.embedding.default", TABLE, integers(3, 5, low=0, high=7), 2, True),
    bags_padding=(
        "aten.embedding_bag.padding_idx",
        TABLE,
        TWICE,
        OFFSETS[:2],
        True,
        1,
        False,
        None,
        False,
        None,
    ),
) | {
    "bags_with_end": OperatorCase(
        "aten._embedding_bag_forward_only.default",
        (TABLE, INDICES, WITH_END, False, 0, False, None, True),
        gradients=False,
    )
}

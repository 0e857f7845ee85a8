"""Padding in each mode, with widths that crop."""

from __future__ import annotations

from helpers.operator_cases import made, numbers

LINE, IMAGE, VOLUME = numbers(2, 3, 7), numbers(2, 3, 5, 7), numbers(2, 2, 3, 4, 5)

CASES = made(
    constant=("aten.constant_pad_nd.default", IMAGE, [1, 2, 0, 3], 1.5),
    constant_crop=("aten.constant_pad_nd.default", IMAGE, [-1, 2, 3, -2]),
    reflect1d=("aten.reflection_pad1d.default", LINE, [2, 3]),
    reflect1d_crop=("aten.reflection_pad1d.default", LINE, [-1, 3]),
    reflect2d=("aten.reflection_pad2d.default", IMAGE, [2, 0, 1, 3]),
    reflect3d=("aten.reflection_pad3d.default", VOLUME, [2, 0, 1, 3, 1, 2]),
    replicate1d=("aten.replication_pad1d.default", LINE, [2, 3]),
    replicate2d=("aten.replication_pad2d.default", IMAGE, [2, 0, 1, 3]),
    replicate2d_crop=("aten.replication_pad2d.default", IMAGE, [-2, 2, 1, -3]),
    replicate3d=("aten.replication_pad3d.default", VOLUME, [2, 0, 1, 3, 1, 2]),
    circular=("aten._pad_circular.default", IMAGE, [2, 0, 1, 3]),
    circular_crop=("aten._pad_circular.default", IMAGE, [-2, 2, 1, -1]),
    pad=("aten.pad.default", IMAGE, [1, 2]),
    pad_value=("aten.pad.default", IMAGE, [1, 2], "constant", 2.5),
    pad_reflect=("aten.pad.default", IMAGE, [1, 2, 2, 1], "reflect"),
    pad_replicate=("aten.pad.default", LINE, [1, 2], "replicate"),
    pad_circular=("aten.pad.default", LINE, [1, 2], "circular"),
)

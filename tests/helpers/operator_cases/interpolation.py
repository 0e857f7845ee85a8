"""Resizing to sizes and by factors, up and down."""

from __future__ import annotations

from helpers.operator_cases import made, numbers

LINE, IMAGE, VOLUME = numbers(2, 3, 7), numbers(2, 3, 5, 7), numbers(2, 2, 3, 4, 5)

CASES = made(
    nearest1d=("aten.upsample_nearest1d.default", LINE, [10]),
    nearest1d_factor=("aten.upsample_nearest1d.default", LINE, [10], 1.4),
    nearest1d_vec=("aten.upsample_nearest1d.vec", LINE, None, [1.7]),
    nearest2d=("aten.upsample_nearest2d.default", IMAGE, [8, 3]),
    nearest2d_twice=("aten.upsample_nearest2d.vec", IMAGE, None, [2.0, 3.0]),
    nearest2d_to_size=("aten.upsample_nearest2d.vec", IMAGE, [4, 9], None),
    nearest3d=("aten.upsample_nearest3d.default", VOLUME, [4, 9, 3], None, 2.3, None),
    nearest3d_vec=("aten.upsample_nearest3d.vec", VOLUME, None, [2.0, 1.5, 0.6]),
    exact1d_vec=("aten._upsample_nearest_exact1d.vec", LINE, None, [1.7]),
    exact2d_to_size=("aten._upsample_nearest_exact2d.default", IMAGE, [8, 3]),
    exact3d_vec=("aten._upsample_nearest_exact3d.vec", VOLUME, None, [2.0, 1.5, 0.6]),
    exact1d=("aten._upsample_nearest_exact1d.default", LINE, [4]),
    exact2d=("aten._upsample_nearest_exact2d.vec", IMAGE, None, [1.5, 0.6]),
    exact3d=("aten._upsample_nearest_exact3d.default", VOLUME, [4, 3, 7]),
    linear1d=("aten.upsample_linear1d.default", LINE, [10], False),
    linear1d_corners=("aten.upsample_linear1d.vec", LINE, None, True, [1.5]),
    bilinear2d=("aten.upsample_bilinear2d.default", IMAGE, [8, 3], False),
    bilinear2d_corners=("aten.upsample_bilinear2d.default", IMAGE, [8, 1], True),
    bilinear2d_factors=("aten.upsample_bilinear2d.vec", IMAGE, None, False, [1.7, 0.6]),
    bilinear2d_same=("aten.upsample_bilinear2d.vec", IMAGE, [5, 7], False, None),
    trilinear3d=("aten.upsample_trilinear3d.default", VOLUME, [4, 8, 3], False),
    trilinear3d_corners=("aten.upsample_trilinear3d.vec", VOLUME, None, True, [2.0, 1.5, 0.7]),
    bicubic2d=("aten.upsample_bicubic2d.default", IMAGE, [8, 3], False),
    bicubic2d_corners=("aten.upsample_bicubic2d.default", IMAGE, [8, 3], True),
    bicubic2d_factors=("aten.upsample_bicubic2d.vec", IMAGE, None, False, [1.7, 0.6]),
    smooth_bilinear2d=("aten._upsample_bilinear2d_aa.default", IMAGE, [8, 3], False),
    smooth_bilinear2d_corners=("aten._upsample_bilinear2d_aa.default", IMAGE, [3, 4], True),
    smooth_bilinear2d_factors=("aten._upsample_bilinear2d_aa.vec", IMAGE, None, False, [0.5, 0.45]),
    smooth_bicubic2d=("aten._upsample_bicubic2d_aa.default", IMAGE, [8, 3], False),
    smooth_bicubic2d_factors=("aten._upsample_bicubic2d_aa.vec", IMAGE, None, True, [0.5, 0.45]),
)

"""Convolutions of one to three axes: strides, padding, dilation and groups, each unequal along the axes."""

from __future__ import annotations

from helpers.operator_cases import made, numbers

CASES = made(
    conv1d=("aten.conv1d.default", numbers(2, 3, 11), numbers(4, 3, 3), numbers(4), [2], [1], [1]),
    conv1d_defaults=("aten.conv1d.default", numbers(2, 3, 8), numbers(4, 3, 3)),
    conv1d_dilated=("aten.conv1d.default", numbers(2, 4, 9), numbers(4, 2, 3), None, [1], [2], [2], 2),
    conv1d_depthwise=("aten.conv1d.default", numbers(2, 4, 9), numbers(8, 1, 3), numbers(8), [2], [1], [1], 4),
    conv1d_without_batch=("aten.conv1d.default", numbers(3, 9), numbers(4, 3, 3), numbers(4)),
    conv1d_same=("aten.conv1d.padding", numbers(2, 3, 9), numbers(4, 3, 4), numbers(4), [1], "same", [2]),
    conv2d=("aten.conv2d.default", numbers(2, 3, 7, 8), numbers(4, 3, 3, 2), numbers(4), [2, 1], [1, 2]),
    conv2d_plain=("aten.conv2d.default", numbers(2, 3, 7, 8), numbers(4, 3, 3, 3), None, [1, 1], [1, 1]),
    conv2d_even_kernel=("aten.conv2d.default", numbers(2, 3, 6, 6), numbers(4, 3, 2, 2), None, [1], [1, 1]),
    conv2d_one_padding=("aten.conv2d.default", numbers(2, 3, 6, 6), numbers(4, 3, 3, 3), None, [3], [2], [1]),
    conv2d_dilated=("aten.conv2d.default", numbers(2, 3, 9, 9), numbers(4, 3, 3, 2), numbers(4), [1], [2, 1], [2, 3]),
    conv2d_dilated_strides=("aten.conv2d.default", numbers(2, 3, 9, 8), numbers(4, 3, 3, 2), None, [2, 1], [1], [2, 3]),
    conv2d_groups=("aten.conv2d.default", numbers(2, 6, 7, 6), numbers(4, 3, 3, 2), numbers(4), [2, 1], [1, 0], [1], 2),
    conv2d_depthwise=("aten.conv2d.default", numbers(2, 3, 7, 6), numbers(6, 1, 3, 3), numbers(6), [1], [1], [1], 3),
    conv2d_depthwise_strides=("aten.conv2d.default", numbers(2, 3, 7, 6), numbers(3, 1, 3, 2), None, [2, 1], [1], [1], 3),
    conv2d_depthwise_dilated=("aten.conv2d.default", numbers(2, 3, 9, 8), numbers(3, 1, 3, 2), None, [2], [1], [2], 3),
    conv2d_same=("aten.conv2d.padding", numbers(2, 3, 7, 6), numbers(4, 3, 4, 3), None, [1, 1], "same", [1, 2]),
    conv2d_valid=("aten.conv2d.padding", numbers(2, 4, 7, 6), numbers(4, 2, 2, 3), None, [2, 1], "valid", [1, 1], 2),
    conv3d=("aten.conv3d.default", numbers(2, 2, 5, 6, 4), numbers(3, 2, 3, 2, 2), numbers(3), [1, 2, 1], [1, 0, 2]),
    conv3d_dilated=("aten.conv3d.default", numbers(2, 2, 5, 6, 4), numbers(3, 2, 2, 2, 2), None, [1], [1], [2, 1, 2]),
    conv3d_groups=("aten.conv3d.default", numbers(2, 4, 4, 5, 3), numbers(4, 2, 2, 2, 2), numbers(4), [1], [0], [1], 2),
    conv3d_depthwise=("aten.conv3d.default", numbers(2, 2, 4, 5, 3), numbers(4, 1, 2, 2, 2), None, [1], [0], [1], 2),
    transpose1d=("aten.conv_transpose1d.default", numbers(2, 3, 5), numbers(3, 4, 3), numbers(4), [2], [1], [1]),
    transpose1d_defaults=("aten.conv_transpose1d.default", numbers(2, 3, 5), numbers(3, 4, 3)),
    transpose1d_without_batch=("aten.conv_transpose1d.default", numbers(3, 5), numbers(3, 4, 3), None, [2]),
    transpose2d=("aten.conv_transpose2d.input", numbers(2, 3, 4, 5), numbers(3, 4, 3, 2), numbers(4), [2, 3], [1, 0], [1, 2]),
    transpose2d_wide_strides=("aten.conv_transpose2d.input", numbers(2, 3, 4, 3), numbers(3, 2, 2, 1), None, [3, 3], [0], [2, 1]),
    transpose2d_dilated=("aten.conv_transpose2d.input", numbers(2, 3, 4, 5), numbers(3, 4, 3, 2), numbers(4), [2, 1], [2, 1], [1, 0], 1, [2, 3]),
    transpose2d_groups=("aten.conv_transpose2d.input", numbers(2, 4, 4, 5), numbers(4, 3, 3, 2), numbers(6), [2, 1], [1, 0], [1, 0], 2, [1, 2]),
    transpose2d_depthwise=("aten.conv_transpose2d.input", numbers(2, 3, 4, 5), numbers(3, 2, 4, 4), None, [2], [3], [0], 3),
    transpose3d=("aten.conv_transpose3d.input", numbers(2, 2, 3, 2, 3), numbers(2, 3, 2, 3, 2), numbers(3), [1, 2, 2], [0, 1, 0], [0, 1, 0]),
    transpose3d_groups=("aten.conv_transpose3d.input", numbers(3, 2, 3, 2, 3), numbers(2, 1, 2, 3, 2), None, [2], [1], [1], 2),
    convolution=("aten.convolution.default", numbers(2, 4, 7, 6), numbers(6, 2, 3, 2), numbers(6), [2, 1], [1, 0], [1, 1], False, [0, 0], 2),
    convolution_transposed=("aten.convolution.default", numbers(2, 4, 4, 5), numbers(4, 3, 3, 2), None, [2, 1], [1, 0], [1, 2], True, [1, 0], 2),
)

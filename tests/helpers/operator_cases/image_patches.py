"""Shuffles of pixels and channels, and patches of an image, apart and added up."""

from __future__ import annotations

from helpers.operator_cases import OperatorCase, made, numbers

CASES = made(
    shuffle=("aten.pixel_shuffle.default", numbers(2, 8, 3, 4), 2),
    shuffle_without_batch=("aten.pixel_shuffle.default", numbers(18, 2, 3), 3),
    unshuffle=("aten.pixel_unshuffle.default", numbers(2, 3, 4, 6), 2),
    channels=("aten.channel_shuffle.default", numbers(2, 6, 3, 2), 2),
    patches=("aten.im2col.default", numbers(2, 3, 7, 8), [3, 2], [1, 2], [1, 0], [2, 3]),
    patches_without_batch=("aten.im2col.default", numbers(3, 5, 6), [2, 2], [1, 1], [0, 0], [2, 1]),
    added=("aten.col2im.default", numbers(2, 18, 8), [7, 8], [3, 2], [1, 2], [1, 0], [2, 3]),
    added_without_batch=("aten.col2im.default", numbers(12, 10), [5, 6], [2, 2], [1, 1], [0, 0], [2, 1]),
) | {
    "channels_native": OperatorCase(
        "aten.native_channel_shuffle.default", (numbers(2, 6, 3), 3), gradients=False
    )
}

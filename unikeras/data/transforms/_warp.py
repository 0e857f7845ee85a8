"""The kernels under geometric transforms: OpenCV's, for pictures of any number of channels and masks of any dtype."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from unikeras._base.optional import require
from unikeras.data.transforms._example import Example
from unikeras.data.transforms._ranges import check_choice, check_number
from unikeras.errors import ArgumentValueError

FILL_MODES = ("constant", "nearest", "reflect", "wrap")
INTERPOLATIONS = ("bilinear", "nearest")

_BORDERS = {
    "constant": "BORDER_CONSTANT",
    "nearest": "BORDER_REPLICATE",
    "reflect": "BORDER_REFLECT",
    "wrap": "BORDER_WRAP",
}
_AT_ONCE = 4  # channels: a border's value has no more
# What OpenCV's kernels cannot read, and what holds every value of it.
_WIDER = {"bool": "uint8", "int8": "int16", "float16": "float32"}


@dataclass(frozen=True)
class Fill:
    """What stands where a warped picture shows what was outside of it, and how values between pixels are found.

    Args:
        mode: `"constant"` (k k | a b c | k k), `"nearest"` (a a | a b c | c c), `"reflect"` (b a | a b c | c b) or
            `"wrap"` (b c | a b c | a b).
        value: k in a picture.
        mask_value: k in a mask, such as the class that a loss ignores.
        interpolation: `"bilinear"` or `"nearest"`; a mask is always `"nearest"`.
    """

    mode: str = "reflect"
    value: float = 0.0
    mask_value: int = 0
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        check_choice("fill_mode", self.mode, FILL_MODES)
        check_choice("interpolation", self.interpolation, INTERPOLATIONS)
        check_number("fill_value", self.value)
        check_number("mask_fill_value", self.mask_value)


def warp(example: Example, matrix: np.ndarray, fill: Fill) -> Example:
    """Return an example whose pixels are taken from elsewhere.

    Args:
        example: before the warp.
        matrix: shape (3, 3): from (x, y, 1) of a pixel's center in the result to that in `example`, where the center of
            the first pixel is (0, 0).
        fill: what stands outside, and between pixels.
    """
    height, width = example.size
    flip = _flip_of(matrix, height, width)
    if flip == "none":
        return example

    def move(image: np.ndarray, interpolation: str, value: float) -> np.ndarray:
        return _flipped(image, flip) if flip else _warped(image, matrix, fill.mode, interpolation, value)

    if fill.mode == "constant":
        _check_fill("fill_value", fill.value, example.image)
        if example.mask is not None:
            _check_fill("mask_fill_value", fill.mask_value, example.mask)
    moved = replace(example, image=move(example.image, fill.interpolation, fill.value), mask=None)
    if example.mask is not None:
        moved = replace(moved, mask=move(example.mask, "nearest", fill.mask_value))
    if example.boxes is None:
        return moved
    return moved.with_boxes(_warped_boxes(example.boxes, matrix), (height, width))


def _check_fill(name: str, value: float, image: np.ndarray) -> None:
    """Refuse a constant that the dtype cannot hold, where OpenCV would take the nearest value."""
    if image.dtype.kind == "f":
        return
    low, high = (0, 1) if image.dtype.kind == "b" else (np.iinfo(image.dtype).min, np.iinfo(image.dtype).max)
    if not low <= value <= high or value != int(value):
        raise ArgumentValueError(f"{name}={value} is no value of {image.dtype}")


def _flip_of(matrix: np.ndarray, height: int, width: int) -> str:
    """Return "x", "y" or "xy" where a matrix does no more than mirror these axes, "none" for nothing, else ""."""
    mirrors_x = np.array_equal(matrix[0], [-1, 0, width - 1])
    mirrors_y = np.array_equal(matrix[1], [0, -1, height - 1])
    if not (mirrors_x or np.array_equal(matrix[0], [1, 0, 0])):
        return ""
    if not (mirrors_y or np.array_equal(matrix[1], [0, 1, 0])):
        return ""
    return "x" * mirrors_x + "y" * mirrors_y or "none"


def _flipped(image: np.ndarray, axes: str) -> np.ndarray:
    codes = {"x": 1, "y": 0, "xy": -1}
    cv2 = require("cv2", "data", "a flip of pictures")
    return _by_channels(image, lambda part: cv2.flip(part, codes[axes]))


def _warped(image: np.ndarray, matrix: np.ndarray, mode: str, interpolation: str, value: float) -> np.ndarray:
    cv2 = require("cv2", "data", "a warp of pictures")
    flags = (cv2.INTER_LINEAR if interpolation == "bilinear" else cv2.INTER_NEAREST) | cv2.WARP_INVERSE_MAP
    size = image.shape[1::-1]
    border = getattr(cv2, _BORDERS[mode])
    return _by_channels(
        image,
        lambda part: cv2.warpAffine(
            part, matrix[:2], size, flags=flags, borderMode=border, borderValue=(value,) * _AT_ONCE
        ),
    )


def resize(
    image: np.ndarray, size: tuple[int, int], interpolation: str = "bilinear", antialias: bool = True
) -> np.ndarray:
    """Return a picture of another size.

    Args:
        image: shape (height, width) or (height, width, channels).
        size: height and width in pixels.
        interpolation: `"bilinear"` or `"nearest"`.
        antialias: whether each pixel of a smaller picture is the mean of the area that it covers.
    """
    if image.shape[:2] == tuple(size):
        return image
    cv2 = require("cv2", "data", "a resize of pictures")
    if interpolation == "nearest":
        kernel = cv2.INTER_NEAREST_EXACT
    else:
        shrinks = size[0] <= image.shape[0] and size[1] <= image.shape[1]
        kernel = cv2.INTER_AREA if antialias and shrinks else cv2.INTER_LINEAR
    return _by_channels(image, lambda part: cv2.resize(part, (size[1], size[0]), interpolation=kernel))


def _by_channels(image: np.ndarray, kernel: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Run a kernel of OpenCV, which drops a last axis of length 1 and may take four channels at most."""
    dtype = image.dtype
    wider = _WIDER.get(dtype.name, "float64" if dtype.kind in "iu" and dtype.itemsize >= 4 else dtype.name)
    source = np.ascontiguousarray(image, wider)
    if image.ndim == 2:
        result = kernel(source)
    else:
        parts = [source[..., at : at + _AT_ONCE] for at in range(0, image.shape[2], _AT_ONCE)]
        results = [kernel(np.ascontiguousarray(part)) for part in parts]
        results = [one if one.ndim == 3 else one[..., None] for one in results]
        result = results[0] if len(results) == 1 else np.concatenate(results, axis=-1)
    return result.astype(dtype, copy=False)


def _warped_boxes(boxes: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return the smallest upright boxes around the moved corners, shape (boxes, 4)."""
    forward = np.linalg.inv(matrix)
    x1, y1, x2, y2 = (boxes.astype(np.float64) - 0.5).T  # edges are half a pixel from centers
    corners = np.stack([[x1, x2, x1, x2], [y1, y1, y2, y2]])  # (2, 4, boxes)
    moved = np.einsum("ij,jkb->ikb", forward[:2, :2], corners) + forward[:2, 2, None, None] + 0.5
    return np.stack([*moved.min(axis=1), *moved.max(axis=1)], axis=1)

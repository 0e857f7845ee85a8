"""Transforms that change a picture's size."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from unikeras.data.transforms import _ranges
from unikeras.data.transforms._example import Example
from unikeras.data.transforms._ranges import Range
from unikeras.data.transforms._transform import Transform
from unikeras.data.transforms._warp import INTERPOLATIONS, resize
from unikeras.errors import ArgumentValueError


class Window(NamedTuple):
    """A part of a picture, in pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Resize(Transform):
    """Give pictures one size.

    Args:
        height: in pixels.
        width: in pixels.
        interpolation: `"bilinear"` or `"nearest"`; a mask is always `"nearest"`.
        antialias: whether each pixel of a smaller picture is the mean of the area that it covers.
        crop_to_aspect_ratio: whether the sides of a picture of another shape are cut off, and not squeezed.

    Raises:
        ArgumentError: a size is no integer.
        ArgumentValueError: a size is not positive, or the interpolation is unknown.

    Source: keras.layers.Resizing, whose antialias is False by default; torchvision.transforms.v2.Resize.

    Example:
        >>> Resize(2, 3)(np.zeros((4, 5, 3), "uint8")).shape
        (2, 3, 3)
    """

    height: int
    width: int
    interpolation: str = "bilinear"
    antialias: bool = True
    crop_to_aspect_ratio: bool = False

    def __post_init__(self) -> None:
        _check_target(self.height, self.width, self.interpolation)

    @property
    def is_random(self) -> bool:
        return False

    def apply(self, example: Example, generator: np.random.Generator) -> Example:
        return self.resized(example)

    def resized(self, example: Example) -> Example:
        """Return the resized example.

        Args:
            example: a picture, with a mask and boxes where it has them.

        Returns:
            Of shape (height, width, channels), its mask and boxes in the new size.
        """
        size = (self.height, self.width)
        window = _widest(example.size, size) if self.crop_to_aspect_ratio else Window(0, 0, *example.size)
        return _shown(example, window, size, self.interpolation, self.antialias)

    def as_layer(self) -> Any:
        import keras

        return keras.layers.Resizing(
            self.height, self.width, self.interpolation, self.crop_to_aspect_ratio, antialias=self.antialias
        )


@dataclass(frozen=True)
class CenterCrop(Transform):
    """Cut out the middle. Of a smaller picture, the largest part of this shape is resized.

    Args:
        height: in pixels.
        width: in pixels.

    Raises:
        ArgumentError: a size is no integer.
        ArgumentValueError: a size is not positive.

    Source: keras.layers.CenterCrop.

    Example:
        >>> CenterCrop(1, 2)(np.array([[1, 2, 3, 4]], "uint8"))[..., 0].tolist()
        [[2, 3]]
    """

    height: int
    width: int

    def __post_init__(self) -> None:
        _check_target(self.height, self.width)

    @property
    def is_random(self) -> bool:
        return False

    def apply(self, example: Example, generator: np.random.Generator) -> Example:
        size = (self.height, self.width)
        height, width = example.size
        if height < self.height or width < self.width:
            return _shown(example, _widest(example.size, size), size, antialias=False)
        window = Window((height - self.height) // 2, (width - self.width) // 2, *size)
        return _shown(example, window, size)

    def as_layer(self) -> Any:
        import keras

        return keras.layers.CenterCrop(self.height, self.width)


@dataclass(frozen=True)
class RandomCrop(Transform):
    """Cut out a part at a random place. Of a smaller picture, the largest part of this shape is resized.

    Args:
        height: in pixels.
        width: in pixels.

    Raises:
        ArgumentError: a size is no integer.
        ArgumentValueError: a size is not positive.

    Source: keras.layers.RandomCrop, which takes one place for a whole batch; torchvision.transforms.v2.RandomCrop.

    Example:
        >>> RandomCrop(2, 2)(np.zeros((5, 7), "uint8")).shape
        (2, 2, 1)
    """

    height: int
    width: int

    def __post_init__(self) -> None:
        _check_target(self.height, self.width)

    def apply(self, example: Example, generator: np.random.Generator) -> Example:
        size = (self.height, self.width)
        height, width = example.size
        if height < self.height or width < self.width:
            _, _, tall, wide = _widest(example.size, size)
        else:
            tall, wide = size
        top, left = generator.integers(height - tall + 1), generator.integers(width - wide + 1)
        return _shown(example, Window(int(top), int(left), tall, wide), size, antialias=False)

    def as_layer(self) -> Any:
        import keras

        return keras.layers.RandomCrop(self.height, self.width)


@dataclass(frozen=True)
class RandomResizedCrop(Transform):
    """Resize a part of random place, area and shape.

    Args:
        height: in pixels.
        width: in pixels.
        scale: the part's area, in areas of the picture.
        ratio: the part's width divided by its height; drawn so that a shape and its opposite are equally likely.
        interpolation: `"bilinear"` or `"nearest"`; a mask is always `"nearest"`.
        antialias: whether each pixel of a smaller picture is the mean of the area that it covers.

    Raises:
        ArgumentError: an argument is of another type.
        ArgumentValueError: a size is not positive, a range is reversed or not positive, or the scale is above 1.

    Source: torchvision.transforms.v2.RandomResizedCrop; Szegedy et al. (2014).

    Example:
        >>> RandomResizedCrop(2, 2)(np.zeros((5, 7), "uint8")).shape
        (2, 2, 1)
    """

    height: int
    width: int
    scale: Range = (0.08, 1.0)
    ratio: Range = (3 / 4, 4 / 3)
    interpolation: str = "bilinear"
    antialias: bool = True

    def __post_init__(self) -> None:
        _check_target(self.height, self.width, self.interpolation)
        for name, high in (("scale", 1.0), ("ratio", np.inf)):
            lower, upper = _ranges.check_range(name, getattr(self, name), 0, high)
            if lower == 0:
                raise ArgumentValueError(f"{name} has to be positive; received {getattr(self, name)!r}")
            object.__setattr__(self, name, (lower, upper))

    def apply(self, example: Example, generator: np.random.Generator) -> Example:
        window = self._draw_window(example.size, generator)
        return _shown(example, window, (self.height, self.width), self.interpolation, self.antialias)

    def _draw_window(self, size: tuple[int, int], generator: np.random.Generator) -> Window:
        height, width = size
        lower, upper = np.log(self.ratio)
        for _ in range(10):
            area = height * width * _ranges.draw(self.scale, generator)
            ratio = math.exp(generator.uniform(lower, upper))
            wide, tall = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < wide <= width and 0 < tall <= height:
                top, left = generator.integers(height - tall + 1), generator.integers(width - wide + 1)
                return Window(int(top), int(left), tall, wide)
        # The picture itself, less what is too long or too high.
        wide = max(1, min(width, round(height * self.ratio[1])))
        tall = max(1, min(height, round(width / self.ratio[0])))
        return Window((height - tall) // 2, (width - wide) // 2, tall, wide)


def _check_target(height: int, width: int, interpolation: str = "bilinear") -> None:
    _ranges.check_pixels("height", height)
    _ranges.check_pixels("width", width)
    _ranges.check_choice("interpolation", interpolation, INTERPOLATIONS)


def _widest(size: tuple[int, int], target: tuple[int, int]) -> Window:
    """Return the largest part of a picture, in its middle, that has the shape of the target."""
    height, width = size
    tall = max(1, min(height, int(width * target[0] / target[1])))
    wide = max(1, min(width, int(height * target[1] / target[0])))
    return Window(int((height - tall) / 2), int((width - wide) / 2), tall, wide)


def _shown(
    example: Example,
    window: Window,
    size: tuple[int, int],
    interpolation: str = "bilinear",
    antialias: bool = True,
) -> Example:
    """Return what is in a window, resized."""
    top, left, tall, wide = window

    def show(image: np.ndarray, interpolation: str) -> np.ndarray:
        return resize(image[top : top + tall, left : left + wide], size, interpolation, antialias)

    shown = replace(example, image=show(example.image, interpolation), mask=None)
    if example.mask is not None:
        shown = replace(shown, mask=show(example.mask, "nearest"))
    if example.boxes is None:
        return shown
    scale = np.array([size[1] / wide, size[0] / tall] * 2)
    return shown.with_boxes((example.boxes - [left, top, left, top]) * scale, size)

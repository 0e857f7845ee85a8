"""What Keras' ImageDataGenerator does and no other transform has.

Source: keras/src/legacy/preprocessing/image.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from unikeras.data.transforms import _ranges
from unikeras.data.transforms._affine import Filled, about_center, translation
from unikeras.data.transforms._colors import ColorTransform
from unikeras.data.transforms._example import Example
from unikeras.data.transforms._ranges import Range
from unikeras.data.transforms._transform import Transform
from unikeras.errors import ArgumentError, StateError

_EPSILON = np.float32(1e-6)


@dataclass(frozen=True)
class RandomPixelShift(Filled):
    """Shift by a number of pixels, or of heights and widths, that is one of several or between two.

    Args:
        height: `(numbers, are_fractions)`: one of the numbers is drawn, and a sign.
        width: the same of the width.
    """

    height: tuple[tuple[float, ...] | float, bool] = ((0.0,), False)
    width: tuple[tuple[float, ...] | float, bool] = ((0.0,), False)

    def draw_matrix(self, size: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
        down, right = (
            self._draw(numbers, generator) * (length if are_fractions else 1)
            for (numbers, are_fractions), length in zip((self.height, self.width), size, strict=True)
        )
        return translation(right, down)

    @staticmethod
    def _draw(numbers: tuple[float, ...] | float, generator: np.random.Generator) -> float:
        if isinstance(numbers, tuple):
            return float(generator.choice(numbers) * generator.choice([-1, 1]))
        return float(generator.uniform(-numbers, numbers))


@dataclass(frozen=True)
class RandomShearAngle(Filled):
    """Shear by an angle about the picture's center.

    Args:
        degrees: `(lower, upper)`.
    """

    degrees: Range = (0.0, 0.0)

    def draw_matrix(self, size: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
        angle = np.deg2rad(_ranges.draw(self.degrees, generator))
        return about_center(np.array([[1, -np.sin(angle)], [0, np.cos(angle)]]), size)


@dataclass(frozen=True)
class RandomBrightnessScale(ColorTransform):
    """Multiply values, and make them integers from 0 to 255 as Pillow does: what is behind the point is cut off.

    Values beyond 0 and 255 are brought between them for this, and back.

    Args:
        scale: `(lower, upper)`.
    """

    scale: Range

    def __post_init__(self) -> None:
        if not isinstance(self.scale, tuple | list):
            raise ArgumentError(f"brightness_range has to be (lower, upper); received {self.scale!r}")
        object.__setattr__(self, "scale", _ranges.check_range("brightness_range", self.scale, 0))

    def change(self, image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        scale = np.float32(_ranges.draw(self.scale, generator))
        low, high = image.min(), image.max()
        if low >= 0 and high <= 255:
            return np.trunc(np.clip(np.trunc(image) * scale, 0, 255))
        spread = high - low or np.float32(1)
        bytes_of = np.trunc((image - low) / spread * np.float32(255))
        return np.trunc(np.clip(bytes_of * scale, 0, 255)) / np.float32(255) * (high - low) + low


@dataclass(frozen=True)
class SamplewiseNormalize(Transform):
    """Subtract a picture's own mean, and divide by its standard deviation.

    Args:
        scales: whether to divide.
    """

    scales: bool

    @property
    def is_random(self) -> bool:
        return False

    def apply(self, example: Example, generator: np.random.Generator) -> Example:
        image = example.image.astype(np.float32)
        image = image - image.mean()
        return replace(example, image=image / (image.std() + _EPSILON) if self.scales else image)


@dataclass(frozen=True)
class FeaturewiseNormalize(Transform):
    """Subtract the data's mean of each channel, and divide by the standard deviation.

    Args:
        scales: whether to divide.
        mean: one for each channel; None before `fit`.
        std: the same.
    """

    scales: bool
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    @property
    def is_random(self) -> bool:
        return False

    def apply(self, example: Example, generator: np.random.Generator) -> Example:
        if self.mean is None:
            raise StateError(
                "featurewise_center and featurewise_std_normalization need fit(x) before the first picture"
            )
        if len(self.mean) != example.image.shape[2]:
            raise ArgumentError(
                f"fit saw {len(self.mean)} channels, and the picture has {example.image.shape[2]}"
            )
        image = example.image.astype(np.float32) - np.asarray(self.mean, np.float32)
        if self.std is not None:
            image = image / (np.asarray(self.std, np.float32) + _EPSILON)
        return replace(example, image=image)

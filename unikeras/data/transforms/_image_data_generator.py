"""The arguments of Keras' ImageDataGenerator as transforms, with its arithmetic.

Source: keras/src/legacy/preprocessing/image.py. Two faults of Keras 3 are not repeated: `height_shift_range` shifts
columns there and `width_shift_range` rows, and pictures that are not square turn about a point beside their center.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unikeras.data.transforms import _ranges
from unikeras.data.transforms._affine import RandomFlip, RandomRotation, RandomTranslation, RandomZoom
from unikeras.data.transforms._colors import Function, RandomChannelShift, Rescale
from unikeras.data.transforms._compose import Compose
from unikeras.data.transforms._example import Example
from unikeras.data.transforms._generator_parts import (
    FeaturewiseNormalize,
    RandomBrightnessScale,
    RandomPixelShift,
    RandomShearAngle,
    SamplewiseNormalize,
)
from unikeras.data.transforms._ranges import Range, check_choice
from unikeras.data.transforms._transform import Transform
from unikeras.data.transforms._warp import FILL_MODES
from unikeras.errors import ArgumentError, ArgumentValueError


def from_image_data_generator(
    featurewise_center: bool = False,
    samplewise_center: bool = False,
    featurewise_std_normalization: bool = False,
    samplewise_std_normalization: bool = False,
    zca_whitening: bool = False,
    zca_epsilon: float = 1e-6,
    rotation_range: float = 0,
    width_shift_range: float | Sequence[float] = 0.0,
    height_shift_range: float | Sequence[float] = 0.0,
    brightness_range: Range | None = None,
    shear_range: float = 0.0,
    zoom_range: float | Range = 0.0,
    channel_shift_range: float = 0.0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    horizontal_flip: bool = False,
    vertical_flip: bool = False,
    rescale: float | None = None,
    preprocessing_function: Callable[[np.ndarray], Any] | None = None,
    data_format: str | None = None,
    validation_split: float = 0.0,
    interpolation_order: int = 1,
    dtype: str | None = None,
) -> GeneratorTransforms:
    """Return the transforms that `ImageDataGenerator` applies when it has these arguments; the result is float32.

    Args:
        featurewise_center: subtract the mean of each channel, which `fit` finds.
        samplewise_center: subtract a picture's own mean.
        featurewise_std_normalization: divide by the standard deviation of each channel, which `fit` finds; centers too.
        samplewise_std_normalization: divide by a picture's own standard deviation; centers too.
        zca_whitening, zca_epsilon: refused.
        rotation_range: in degrees, both ways.
        width_shift_range: below 1 in widths, else in pixels, both ways; an integer n draws whole pixels below n, and a
            sequence one of its numbers.
        height_shift_range: the same of the height.
        brightness_range: what values are multiplied with; they become integers from 0 to 255, as Pillow's do.
        shear_range: in degrees, both ways.
        zoom_range: how much of the picture is shown, `(lower, upper)` or z for `(1 - z, 1 + z)`; drawn for each axis.
        channel_shift_range: added to all values, both ways, within the range that the picture has.
        fill_mode, cval: of what was outside: `"constant"`, `"nearest"`, `"reflect"` or `"wrap"`.
        horizontal_flip, vertical_flip: whether each may be mirrored.
        rescale: what values are multiplied with, after `preprocessing_function`.
        preprocessing_function: takes a picture after augmentation, float32, and returns it changed.
        data_format: `"channels_last"`.
        validation_split: refused; a source has `.split`.
        interpolation_order: 0 or 1.
        dtype: `"float32"`.

    Returns:
        A `Compose` with a `fit`.

    Raises:
        ArgumentError: an argument is of another type.
        ArgumentValueError: an argument is refused, or has another value than those above.

    Example:
        >>> transforms = from_image_data_generator(rotation_range=40, horizontal_flip=True, rescale=1 / 255)
        >>> transforms(np.zeros((8, 8, 3), "uint8"), seed=0).shape
        (8, 8, 3)
    """
    _refuse(zca_whitening, data_format, validation_split, interpolation_order, dtype)
    fill: dict[str, Any] = {
        "fill_mode": check_choice("fill_mode", fill_mode, FILL_MODES),
        "fill_value": _ranges.check_number("cval", cval),
        "interpolation": "bilinear" if interpolation_order else "nearest",
    }
    augmentation: list[Transform] = [Rescale(1.0)]  # float32, so that nothing is rounded in between
    if rotation_range:
        augmentation.append(RandomRotation(_both_ways("rotation_range", rotation_range, 360), **fill))
    augmentation += _shifts(height_shift_range, width_shift_range, fill)
    if shear_range:
        augmentation.append(RandomShearAngle(_both_ways("shear_range", shear_range), **fill))
    zoom = _zoom(zoom_range)
    if zoom != (0, 0):
        augmentation.append(RandomZoom(zoom, zoom, **fill))
    augmentation += [RandomFlip("horizontal")] * bool(horizontal_flip) + [RandomFlip("vertical")] * bool(
        vertical_flip
    )
    if channel_shift_range:
        augmentation.append(RandomChannelShift(_both_ways("channel_shift_range", channel_shift_range)))
    if brightness_range is not None:
        augmentation.append(RandomBrightnessScale(brightness_range))
    standardization: list[Transform] = []
    if preprocessing_function is not None:
        standardization.append(Function(preprocessing_function))
    if rescale:
        standardization.append(Rescale(rescale))
    if samplewise_center or samplewise_std_normalization:
        standardization.append(SamplewiseNormalize(bool(samplewise_std_normalization)))
    featurewise = None
    if featurewise_center or featurewise_std_normalization:
        featurewise = FeaturewiseNormalize(bool(featurewise_std_normalization))
    return GeneratorTransforms(augmentation, standardization, featurewise, rescale or 1.0)


class GeneratorTransforms(Compose):
    """What `from_image_data_generator` returns: a `Compose` with the `fit` of an ImageDataGenerator.

    Args:
        augmentation: the random part.
        standardization: what follows it.
        featurewise: what needs `fit`, or None.
        scale: what pictures are multiplied with before statistics are taken.

    Example:
        >>> import numpy as np
        >>> transforms = from_image_data_generator(rescale=1 / 255, featurewise_center=True)
        >>> pictures = np.full((2, 4, 4, 3), 255, "uint8")
        >>> fitted = transforms.fit(pictures)
        >>> fitted(pictures[0]).max()
        np.float32(0.0)
    """

    def __init__(
        self,
        augmentation: Sequence[Transform],
        standardization: Sequence[Transform],
        featurewise: FeaturewiseNormalize | None,
        scale: float,
    ) -> None:
        super().__init__([*augmentation, *standardization, *([featurewise] if featurewise else [])])
        self._augmentation = Compose(augmentation)
        self._scale = np.float32(scale)

    def fit(
        self, x: Any, augment: bool = False, rounds: int = 1, seed: int | None = None
    ) -> GeneratorTransforms:
        """Find mean and standard deviation of each channel.

        Args:
            x: pictures, shape (pictures, height, width, channels).
            augment: whether statistics are taken of augmented pictures.
            rounds: how many times each is augmented.
            seed: of the augmentation.

        Returns:
            These transforms.

        Raises:
            ArgumentError: the pictures have another shape, or there are none.
        """
        x = np.asarray(x)
        if x.ndim != 4 or not x.size:
            raise ArgumentError(
                f"fit takes pictures of shape (pictures, height, width, channels); received {x.shape}"
            )
        if not isinstance(self.transforms[-1], FeaturewiseNormalize):
            return self
        x = x.astype(np.float32) * self._scale
        if augment:
            key = None if seed is None else _ranges.check_count("seed", seed)
            generator = np.random.Generator(np.random.Philox(key))
            pictures = [
                Example(image) for _ in range(_ranges.check_count("rounds", rounds, least=1)) for image in x
            ]
            x = np.stack([self._augmentation.apply(picture, generator).image for picture in pictures])
        mean = x.mean(axis=(0, 1, 2))
        std = (x - mean).std(axis=(0, 1, 2)) if self.transforms[-1].scales else None
        fitted = FeaturewiseNormalize(
            self.transforms[-1].scales, _floats(mean), None if std is None else _floats(std)
        )
        self.transforms = (*self.transforms[:-1], fitted)
        return self


def _floats(values: np.ndarray) -> tuple[float, ...]:
    return tuple(values.astype(np.float32).tolist())


def _refuse(
    zca_whitening: bool,
    data_format: str | None,
    validation_split: float,
    interpolation_order: int,
    dtype: str | None,
) -> None:
    if zca_whitening:
        raise ArgumentValueError(
            "zca_whitening has no transform; whiten the arrays before they become a source"
        )
    if data_format not in (None, "channels_last"):
        raise ArgumentValueError(f"data_format has to be 'channels_last'; received {data_format!r}")
    if validation_split:
        raise ArgumentValueError(
            f"validation_split={validation_split} is not a transform; write train, val = source.split(...)"
        )
    if interpolation_order not in (0, 1):
        raise ArgumentValueError(f"interpolation_order has to be 0 or 1; received {interpolation_order!r}")
    if dtype not in (None, "float32"):
        raise ArgumentValueError(f"dtype has to be 'float32'; received {dtype!r}")


def _both_ways(name: str, value: Any, whole: float = 1) -> Range:
    number = abs(_ranges.check_number(name, value)) / whole
    if whole > 1 and number > 1:
        raise ArgumentValueError(f"{name} has to be at most {whole}; received {value}")
    return -number, number


def _shifts(height: Any, width: Any, fill: dict[str, Any]) -> list[Transform]:
    """Return one transform for both shifts, or none."""
    ranges = [
        _shift(name, value) for name, value in (("height_shift_range", height), ("width_shift_range", width))
    ]
    if all(numbers in (0, (0.0,)) for numbers, _ in ranges):
        return []
    # A plain fraction is a layer of Keras too.
    if all(
        isinstance(numbers, float) and (are_fractions or not numbers) for numbers, are_fractions in ranges
    ):
        (tall, _), (wide, _) = ranges
        return [RandomTranslation((-tall, tall), (-wide, wide), **fill)]
    return [RandomPixelShift(*ranges, **fill)]


def _shift(name: str, value: Any) -> tuple[Any, bool]:
    """Return the numbers that a shift is drawn from, and whether they are fractions of the picture."""
    if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str):
        numbers = tuple(_ranges.check_number(name, each) for each in np.asarray(value).reshape(-1).tolist())
        if not numbers:
            raise ArgumentValueError(f"{name} has no numbers")
        return numbers, max(numbers) < 1
    if isinstance(value, int) and not isinstance(value, bool):
        return tuple(float(each) for each in range(abs(value))) or (0.0,), False
    number = abs(_ranges.check_number(name, value))
    return number, number < 1


def _zoom(value: Any) -> Range:
    """Return what is to be added to 1."""
    if not isinstance(value, tuple | list):
        number = _ranges.check_number("zoom_range", value)
        value = (1 - number, 1 + number)
    lower, upper = _ranges.check_range("zoom_range", sorted(value))
    if lower <= 0:
        raise ArgumentValueError(
            f"zoom_range has to be above 0 and below twice the picture; received {value!r}"
        )
    return lower - 1, upper - 1

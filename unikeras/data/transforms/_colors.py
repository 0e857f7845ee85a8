"""Transforms of a picture's values; masks and boxes stay as they are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unikeras.data.transforms import _ranges
from unikeras.data.transforms._example import Example
from unikeras.data.transforms._ranges import Range
from unikeras.data.transforms._transform import Transform
from unikeras.errors import ArgumentError, ArgumentValueError


class ColorTransform(Transform):
    """A transform that changes values and moves nothing."""

    @abstractmethod
    def change(self, image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return the changed picture.

        Args:
            image: float32, shape (height, width, channels); not to be changed.
            generator: what random numbers are drawn from.
        """

    def apply(self, example: Example, generator: np.random.Generator) -> Example:
        changed = self.change(example.image.astype(np.float32), generator)
        return replace(example, image=as_dtype(changed, example.image.dtype))


@dataclass(frozen=True)
class Rescale(Transform):
    """Multiply by a number and add one: uint8 becomes float32.

    Args:
        scale: such as 1 / 255.
        offset: added after.

    Raises:
        ArgumentError: it is no number.

    Source: keras.layers.Rescaling.

    Example:
        >>> Rescale(1 / 255)(np.array([[0, 255]], "uint8"))[..., 0].tolist()
        [[0.0, 1.0]]
    """

    scale: float
    offset: float = 0.0

    def __post_init__(self) -> None:
        _ranges.check_number("scale", self.scale)
        _ranges.check_number("offset", self.offset)

    @property
    def is_random(self) -> bool:
        return False

    def apply(self, example: Example, generator: np.random.Generator) -> Example:
        image = example.image.astype(np.float32) * np.float32(self.scale) + np.float32(self.offset)
        return replace(example, image=image)

    def as_layer(self) -> Any:
        import keras

        return keras.layers.Rescaling(self.scale, self.offset)


@dataclass(frozen=True)
class Normalize(Transform):
    """Subtract a mean and divide by a standard deviation, of each channel: uint8 becomes float32.

    Args:
        mean: a number, or one for each channel.
        std: the same; positive.

    Raises:
        ArgumentError: it is neither a number nor a sequence of them, or does not fit the channels of a picture.
        ArgumentValueError: a standard deviation is not positive.

    Source: torchvision.transforms.v2.Normalize; keras.layers.Normalization, which takes the variance.

    Example:
        >>> Normalize(mean=[1, 2], std=[1, 4])(np.array([[[3, 6]]], "uint8")).tolist()
        [[[2.0, 1.0]]]
    """

    mean: float | Sequence[float]
    std: float | Sequence[float]

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            values = np.asarray(getattr(self, name))
            if values.dtype.kind not in "iuf" or values.ndim > 1 or not np.isfinite(values).all():
                raise ArgumentError(
                    f"{name} has to be a number, or one for each channel; received {getattr(self, name)!r}"
                )
            object.__setattr__(self, name, tuple(values.tolist()) if values.ndim else values.item())
        if np.min(self.std) <= 0:
            raise ArgumentValueError(f"std has to be positive; received {self.std!r}")

    @property
    def is_random(self) -> bool:
        return False

    def apply(self, example: Example, generator: np.random.Generator) -> Example:
        image = example.image.astype(np.float32)
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        for name, values in (("mean", mean), ("std", std)):
            if values.ndim and len(values) not in (1, image.shape[2]):
                raise ArgumentError(
                    f"Normalize has {len(values)} values in {name}, and the picture has {image.shape[2]} channels"
                )
        rows = (as_rows(image) - for_rows(mean, image)) / for_rows(std, image)
        return replace(example, image=rows.reshape(image.shape))

    def as_layer(self) -> Any:
        import keras

        mean, std = np.broadcast_arrays(self.mean, self.std)
        return keras.layers.Normalization(mean=mean.tolist(), variance=np.square(std).tolist())


@dataclass(frozen=True)
class RandomBrightness(ColorTransform):
    """Add one number to all values.

    Args:
        factor: in lengths of the value range, `(lower, upper)` between -1 and 1, or f for `(-f, f)`.
        value_range: the least and the greatest value; the result is clipped to them.

    Raises:
        ArgumentError: an argument is of another type.
        ArgumentValueError: a range is reversed, or the factor is beyond -1 and 1.

    Source: keras.layers.RandomBrightness.

    Example:
        >>> RandomBrightness((0.2, 0.2))(np.array([[0, 240]], "uint8"))[..., 0].tolist()
        [[51, 255]]
    """

    factor: float | Range
    value_range: Range = (0.0, 255.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", _ranges.check_range("factor", self.factor, -1, 1))
        object.__setattr__(self, "value_range", _check_value_range(self.value_range))

    def change(self, image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        low, high = self.value_range
        return np.clip(image + np.float32(_ranges.draw(self.factor, generator) * (high - low)), low, high)

    def as_layer(self) -> Any:
        import keras

        return keras.layers.RandomBrightness(self.factor, self.value_range)


@dataclass(frozen=True)
class RandomContrast(ColorTransform):
    """Stretch or squeeze the values of each channel about its mean.

    Args:
        factor: the stretch less 1, `(lower, upper)`, or f for `(-f, f)`; not below -1, which leaves the mean alone.
        value_range: the least and the greatest value; the result is clipped to them.

    Raises:
        ArgumentError: an argument is of another type.
        ArgumentValueError: a range is reversed, or the factor is below -1.

    Source: keras.layers.RandomContrast, whose `(a, b)` is `(-a, b)` here.

    Example:
        >>> RandomContrast((1, 1))(np.array([[100, 120]], "uint8"))[..., 0].tolist()
        [[90, 130]]
    """

    factor: float | Range
    value_range: Range = (0.0, 255.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", _ranges.check_range("factor", self.factor, -1))
        object.__setattr__(self, "value_range", _check_value_range(self.value_range))

    def change(self, image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        stretch = np.float32(1 + _ranges.draw(self.factor, generator))
        rows = as_rows(image)
        sums = rows.sum(axis=0, dtype=np.float64).reshape(image.shape[1:]).sum(axis=0)
        mean = for_rows(sums / (image.shape[0] * image.shape[1]), image)
        stretched = (rows - mean) * stretch + mean
        return np.clip(stretched, self.value_range[0], self.value_range[1]).reshape(image.shape)

    def as_layer(self) -> Any:
        import keras

        lower, upper = _ranges.check_range("factor", self.factor)
        if not 0 <= -lower <= upper <= 1:
            raise ArgumentValueError(f"{self}: the layer takes a factor (-a, b) with 0 <= a <= b <= 1")
        return keras.layers.RandomContrast((-lower, upper), self.value_range)


@dataclass(frozen=True)
class RandomChannelShift(ColorTransform):
    """Add one number to all values, within the range that the picture has.

    Args:
        shift: `(lower, upper)`, or s for `(-s, s)`, in the units of the values.

    Raises:
        ArgumentError: the shift is of another type.
        ArgumentValueError: the range is reversed.

    Source: `channel_shift_range` of Keras' ImageDataGenerator, which adds the same number to every channel.

    Example:
        >>> RandomChannelShift((5, 5))(np.array([[0, 4, 9]], "uint8"))[..., 0].tolist()
        [[5, 9, 9]]
    """

    shift: float | Range

    def __post_init__(self) -> None:
        object.__setattr__(self, "shift", _ranges.check_range("shift", self.shift))

    def change(self, image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return np.clip(image + np.float32(_ranges.draw(self.shift, generator)), image.min(), image.max())


@dataclass(frozen=True)
class Function(Transform):
    """A function of your own as a transform of the picture alone.

    Args:
        function: takes a picture, shape (height, width, channels), and returns one of the same height and width.

    Raises:
        ArgumentError: it is not callable.

    Source: torchvision.transforms.v2.Lambda; `preprocessing_function` of Keras' ImageDataGenerator.

    Example:
        >>> Function(lambda picture: 255 - picture)(np.array([[0, 5]], "uint8"))[..., 0].tolist()
        [[255, 250]]
    """

    function: Callable[[np.ndarray], Any]

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ArgumentError(f"a function is needed; received {self.function!r:.80}")

    @property
    def is_random(self) -> bool:
        return False

    def apply(self, example: Example, generator: np.random.Generator) -> Example:
        changed = Example(
            np.array(self.function(example.image.copy()))
        )  # a copy: functions often work in place
        if changed.size != example.size:
            raise ArgumentValueError(
                f"{self.function!r:.80} made {changed.size[0]} x {changed.size[1]} pixels of {example.size[0]} x "
                f"{example.size[1]}; a function changes values only, because masks and boxes do not move with it"
            )
        return replace(example, image=changed.image)


def as_rows(image: np.ndarray) -> np.ndarray:
    """Return a picture with columns and channels as one axis: numpy is several times as fast along a long one."""
    return image.reshape(image.shape[0], -1)


def for_rows(values: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return one number for each channel, or one for all, as `as_rows` needs it, float32."""
    return np.tile(np.broadcast_to(values, image.shape[2]).astype(np.float32), image.shape[1])


def as_dtype(image: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Return float32 values as a dtype: rounded and clipped where it holds integers."""
    if dtype.kind == "f":
        return image.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(image), limits.min, limits.max).astype(dtype)


def _check_value_range(value: Any) -> Range:
    if not isinstance(value, tuple | list):
        raise ArgumentError(f"value_range has to be (least, greatest); received {value!r}")
    return _ranges.check_range("value_range", value)

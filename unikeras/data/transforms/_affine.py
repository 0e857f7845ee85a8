"""Rotation, translation, shear, zoom and flips: by the conventions of the layers of Keras that have their names.

Source: keras.io/api/layers/preprocessing_layers/image_augmentation. All but the shear turn about the picture's center.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unikeras.data.transforms import _ranges
from unikeras.data.transforms._ranges import Range
from unikeras.data.transforms._transform import AffineTransform
from unikeras.data.transforms._warp import Fill
from unikeras.errors import ArgumentValueError

_LEAST_ZOOM = -0.999


@dataclass(frozen=True)
class Filled(AffineTransform):
    """An affine transform that shows what was outside of the picture.

    Args:
        fill_mode: `"reflect"`, `"constant"`, `"nearest"` or `"wrap"`.
        fill_value: the constant in a picture.
        mask_fill_value: the constant in a mask, such as the class that a loss ignores.
        interpolation: `"bilinear"` or `"nearest"`; a mask is always `"nearest"`.
    """

    fill_mode: str = field(default="reflect", kw_only=True)
    fill_value: float = field(default=0.0, kw_only=True)
    mask_fill_value: int = field(default=0, kw_only=True)
    interpolation: str = field(default="bilinear", kw_only=True)

    def __post_init__(self) -> None:
        fill = Fill(self.fill_mode, self.fill_value, self.mask_fill_value, self.interpolation)
        object.__setattr__(self, "fill", fill)

    @property
    def _layer_arguments(self) -> dict[str, Any]:
        return {
            "fill_mode": self.fill_mode,
            "fill_value": self.fill_value,
            "interpolation": self.interpolation,
        }

    def _set_range(self, name: str, low: float = -np.inf, high: float = np.inf) -> None:
        object.__setattr__(self, name, _ranges.check_range(name, getattr(self, name), low, high))


@dataclass(frozen=True)
class RandomRotation(Filled):
    """Turn a picture about its center.

    Args:
        factor: in full turns, `(lower, upper)` or f for `(-f, f)`; positive turns counter-clockwise.
        fill_mode, fill_value, mask_fill_value, interpolation: of what was outside, and between pixels.

    Raises:
        ArgumentError: an argument is of another type.
        ArgumentValueError: the range is reversed, or a name is unknown.

    Source: keras.layers.RandomRotation; torchvision.transforms.v2.RandomRotation(d) is `factor=d / 360`.

    Example:
        >>> picture = np.array([[1, 2], [3, 4]], "uint8")
        >>> RandomRotation((0.25, 0.25))(picture)[..., 0].tolist()
        [[2, 4], [1, 3]]
    """

    factor: float | Range = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set_range("factor", -1, 1)

    def draw_matrix(self, size: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
        turns = _ranges.draw(self.factor, generator)
        quarter = round(turns * 4)
        if turns * 4 == quarter:  # exact, so that pixels move without interpolation
            cos, sin = [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)][quarter % 4]
        else:
            cos, sin = np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)
        return about_center(np.array([[cos, -sin], [sin, cos]]), size)

    def as_layer(self) -> Any:
        import keras

        return keras.layers.RandomRotation(self.factor, **self._layer_arguments)


@dataclass(frozen=True)
class RandomTranslation(Filled):
    """Shift a picture.

    Args:
        height_factor: in heights, `(lower, upper)` or f for `(-f, f)`; positive shifts down.
        width_factor: in widths; positive shifts to the right.
        fill_mode, fill_value, mask_fill_value, interpolation: of what was outside, and between pixels.

    Raises:
        ArgumentError: an argument is of another type.
        ArgumentValueError: a range is reversed or beyond -1 and 1, or a name is unknown.

    Source: keras.layers.RandomTranslation.

    Example:
        >>> picture = np.array([[1, 2, 3, 4]], "uint8")
        >>> RandomTranslation(0, (0.25, 0.25), fill_mode="constant")(picture)[..., 0].tolist()
        [[0, 1, 2, 3]]
    """

    height_factor: float | Range = 0.0
    width_factor: float | Range = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set_range("height_factor", -1, 1)
        self._set_range("width_factor", -1, 1)

    def draw_matrix(self, size: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
        down = _ranges.draw(self.height_factor, generator) * size[0]
        right = _ranges.draw(self.width_factor, generator) * size[1]
        return translation(-right, -down)

    def as_layer(self) -> Any:
        import keras

        return keras.layers.RandomTranslation(self.height_factor, self.width_factor, **self._layer_arguments)


@dataclass(frozen=True)
class RandomShear(Filled):
    """Shear a picture: rows shift in proportion to their distance from the first, columns likewise.

    Each factor is drawn from its range, and one coin for both turns the signs.

    Args:
        x_factor: pixels to the side for each row, `(lower, upper)` between 0 and 1, or f for `(-f, f)`.
        y_factor: pixels down for each column.
        fill_mode, fill_value, mask_fill_value, interpolation: of what was outside, and between pixels.

    Raises:
        ArgumentError: an argument is of another type.
        ArgumentValueError: a range is reversed or beyond -1 and 1, or a name is unknown.

    Source: keras.layers.RandomShear.

    Example:
        >>> RandomShear(x_factor=(0.2, 0.2))(np.zeros((4, 4), "uint8")).shape
        (4, 4, 1)
    """

    x_factor: float | Range = 0.0
    y_factor: float | Range = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set_range("x_factor", -1, 1)
        self._set_range("y_factor", -1, 1)

    def draw_matrix(self, size: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
        sign = -1.0 if generator.random() > 0.5 else 1.0
        down = _ranges.draw(self.y_factor, generator) * sign
        aside = _ranges.draw(self.x_factor, generator) * sign
        if aside * down == 1:  # all pixels would fall on one line
            down = np.nextafter(down, 0)
        return np.array([[1, aside, 0], [down, 1, 0], [0, 0, 1]])

    def as_layer(self) -> Any:
        import keras

        factors = []
        for name in ("x_factor", "y_factor"):
            lower, upper = getattr(self, name)
            if lower < 0 and lower != -upper:
                raise ArgumentValueError(
                    f"{self}: the layer takes a {name} from 0, or one number for both ways"
                )
            factors.append(upper if lower < 0 else (lower, upper))
        return keras.layers.RandomShear(*factors, **self._layer_arguments)


@dataclass(frozen=True)
class RandomZoom(Filled):
    """Zoom about the picture's center.

    Args:
        height_factor: `(lower, upper)` or f for `(-f, f)`: -0.5 shows half of the height, 0.5 half as much again.
        width_factor: the same of the width; None for the number that was drawn for the height.
        fill_mode, fill_value, mask_fill_value, interpolation: of what was outside, and between pixels.

    Raises:
        ArgumentError: an argument is of another type.
        ArgumentValueError: a range is reversed or not above -1, or a name is unknown.

    Source: keras.layers.RandomZoom.

    Example:
        >>> picture = np.array([[1, 2, 3, 4]], "uint8")
        >>> RandomZoom((-0.5, -0.5), interpolation="nearest")(picture)[..., 0].tolist()
        [[2, 2, 3, 3]]
    """

    height_factor: float | Range = 0.0
    width_factor: float | Range | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set_range("height_factor", _LEAST_ZOOM)
        if self.width_factor is not None:
            self._set_range("width_factor", _LEAST_ZOOM)

    def draw_matrix(self, size: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
        tall = 1 + _ranges.draw(self.height_factor, generator)
        wide = tall if self.width_factor is None else 1 + _ranges.draw(self.width_factor, generator)
        return about_center(np.diag([wide, tall]), size)

    def as_layer(self) -> Any:
        import keras

        return keras.layers.RandomZoom(self.height_factor, self.width_factor, **self._layer_arguments)


@dataclass(frozen=True)
class RandomFlip(AffineTransform):
    """Mirror a picture, or leave it.

    Args:
        mode: `"horizontal"` (left and right change places), `"vertical"`, or `"horizontal_and_vertical"`: both by one
            coin, as Keras' layer does. Two transforms toss a coin each.
        p: how likely it is.

    Raises:
        ArgumentValueError: the mode is unknown, or p is not between 0 and 1.

    Source: keras.layers.RandomFlip; torchvision.transforms.v2.RandomHorizontalFlip and RandomVerticalFlip.

    Example:
        >>> RandomFlip("horizontal", p=1)(np.array([[1, 2, 3]], "uint8"))[..., 0].tolist()
        [[3, 2, 1]]
    """

    mode: str = "horizontal_and_vertical"
    p: float = 0.5

    def __post_init__(self) -> None:
        _ranges.check_choice("mode", self.mode, ("horizontal", "vertical", "horizontal_and_vertical"))
        _ranges.check_probability("p", self.p)

    def draw_matrix(self, size: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
        matrix = np.eye(3)
        if generator.random() < self.p:
            height, width = size
            if self.mode != "vertical":
                matrix[0] = [-1, 0, width - 1]
            if self.mode != "horizontal":
                matrix[1] = [0, -1, height - 1]
        return matrix

    def as_layer(self) -> Any:
        import keras

        if self.p != 0.5:
            raise ArgumentValueError(f"{self}: the layer flips one picture in two; p has to be 0.5")
        return keras.layers.RandomFlip(self.mode)


def translation(x: float, y: float) -> np.ndarray:
    """Return the map that adds (x, y), shape (3, 3)."""
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def about_center(linear: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a linear map, shape (2, 2), that leaves the center of a picture where it is, shape (3, 3)."""
    center = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = center - linear @ center
    return matrix

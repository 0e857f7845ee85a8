"""What every transform is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from unikeras.data.transforms._example import Example
from unikeras.data.transforms._ranges import check_count
from unikeras.data.transforms._warp import Fill, warp
from unikeras.errors import ArgumentValueError


class Transform(ABC):
    """What changes one picture and what belongs to it.

    A transform has no state: all that is random in it comes from the generator that it is given. A subclass defines
    `apply`.

    Example:
        >>> import dataclasses
        >>> import numpy as np
        >>> class Invert(Transform):
        ...     def apply(self, example, generator):
        ...         return dataclasses.replace(example, image=255 - example.image)
        >>> Invert()(np.zeros((2, 2), "uint8")).tolist()
        [[[255], [255]], [[255], [255]]]
    """

    @abstractmethod
    def apply(self, example: Example, generator: np.random.Generator) -> Example:
        """Return the transformed example; the given one is not changed.

        Args:
            example: a picture, with a mask and boxes where it has them.
            generator: what random numbers are drawn from.
        """

    @property
    def is_random(self) -> bool:
        """Whether two generators may give two results."""
        return True

    def as_layer(self) -> Any:
        """Return the Keras layer with the same meaning, to be a part of a model.

        Raises:
            ArgumentValueError: Keras has no such layer.
        """
        raise ArgumentValueError(f"{self!r} has no layer in Keras; use it in .augment(...)")

    def __call__(self, picture: Any, seed: int | None = None) -> Any:
        """Return one transformed picture, to look at it.

        Args:
            picture: shape (height, width, channels) or (height, width), or an `Example`.
            seed: of the random numbers; another picture at each call where it is None.

        Returns:
            A picture for a picture, an `Example` for an `Example`.
        """
        if seed is not None:
            seed = check_count("seed", seed)
        generator = np.random.Generator(np.random.Philox(seed))
        if isinstance(picture, Example):
            return self.apply(picture, generator)
        return self.apply(Example(picture), generator).image


class AffineTransform(Transform):
    """A transform that takes each pixel from elsewhere; those that follow each other in a `Compose` become one warp.

    Attributes:
        fill: what stands where the result shows what was outside of the picture; None where nothing does.
    """

    fill: Fill | None = None

    @abstractmethod
    def draw_matrix(self, size: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
        """Return the map from (x, y, 1) of a pixel's center in the result to that in the picture, shape (3, 3).

        Args:
            size: height and width of the picture in pixels.
            generator: what random numbers are drawn from.
        """

    def apply(self, example: Example, generator: np.random.Generator) -> Example:
        return warp(example, self.draw_matrix(example.size, generator), self.fill or Fill())

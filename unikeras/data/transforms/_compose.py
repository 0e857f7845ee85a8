"""Several transforms as one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from unikeras.data.transforms import _ranges
from unikeras.data.transforms._example import Example
from unikeras.data.transforms._keras_layers import is_layer, transform_of
from unikeras.data.transforms._mixing import BatchTransform
from unikeras.data.transforms._transform import AffineTransform, Transform
from unikeras.data.transforms._warp import Fill, warp
from unikeras.errors import ArgumentError, ArgumentValueError, DatasetError


class Compose(Transform):
    """Transforms, one after the other.

    Affine transforms that follow each other, with one way to fill, become one warp: the picture is interpolated once,
    and what a first one moves out of the picture a second one may move back. Random numbers are drawn in the order of
    the transforms.

    Args:
        transforms: transforms, and layers of Keras, of which `from_layer` makes transforms. `MixUp` and `CutMix` come
            last.
        lost_boxes: what happens to a box that leaves the picture: `"drop"` removes it and its label, `"raise"` is an
            error.

    Attributes:
        transforms: what was given, with the parts of any `Compose` in it in its place.

    Raises:
        ArgumentError: a part is no transform.
        ArgumentValueError: a part stands behind `MixUp` or `CutMix`, or `lost_boxes` is unknown.

    Source: torchvision.transforms.v2.Compose; keras.Sequential.

    Example:
        >>> from unikeras.data.transforms import RandomFlip, Rescale
        >>> flip_and_scale = Compose([RandomFlip("horizontal", p=1), Rescale(1 / 255)])
        >>> flip_and_scale(np.array([[0, 255]], "uint8"))[..., 0].tolist()
        [[1.0, 0.0]]
    """

    def __init__(self, transforms: Iterable[Any], lost_boxes: str = "drop") -> None:
        if isinstance(transforms, str) or not isinstance(transforms, Iterable):
            raise ArgumentError(f"transforms has to be a list of transforms; received {transforms!r:.80}")
        self.lost_boxes = _ranges.check_choice("lost_boxes", lost_boxes, ("drop", "raise"))
        parts = [check_transform(each) for each in transforms]
        self.transforms: tuple[Transform, ...] = tuple(
            inner for part in parts for inner in (part.transforms if isinstance(part, Compose) else [part])
        )
        if any(isinstance(part, Compose) and part.lost_boxes == "raise" for part in parts):
            self.lost_boxes = "raise"
        mixing = [isinstance(part, BatchTransform) for part in self.transforms]
        if True in mixing and not all(mixing[mixing.index(True) :]):
            first = self.transforms[mixing.index(True)]
            raise ArgumentValueError(
                f"{type(first).__name__} mixes a batch, and what stands behind it changes one example; put it last"
            )

    @property
    def is_random(self) -> bool:
        return any(part.is_random for part in self.transforms)

    @property
    def batch_transforms(self) -> tuple[BatchTransform, ...]:
        """The parts at the end that mix a batch."""
        return tuple(part for part in self.transforms if isinstance(part, BatchTransform))

    def apply(self, example: Example, generator: np.random.Generator) -> Example:
        boxes = 0 if example.boxes is None else len(example.boxes)
        warps = _Warps(example)
        for part in self.transforms:
            if isinstance(part, AffineTransform):
                warps.add(part, generator)
            else:
                warps.example = part.apply(warps.done(), generator)
        result = warps.done()
        if self.lost_boxes == "raise" and result.boxes is not None and len(result.boxes) < boxes:
            raise DatasetError(
                f"{boxes - len(result.boxes)} of {boxes} boxes left the picture in {self}; use smaller ranges, or "
                "lost_boxes='drop'"
            )
        return result

    def apply_to_batch(self, batch: Any, generator: np.random.Generator) -> Any:
        """Return a batch after the parts that mix it; those for one example are left out.

        Args:
            batch: `x` or `(x, y)`.
            generator: what random numbers are drawn from.

        Returns:
            `x` or `(x, y)`, in the shapes of the batch.
        """
        for part in self.batch_transforms:
            batch = part.apply_to_batch(batch, generator)
        return batch

    def as_layer(self) -> Any:
        import keras

        return keras.Sequential([part.as_layer() for part in self.transforms])

    def __repr__(self) -> str:
        return f"Compose([{', '.join(map(repr, self.transforms))}])"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Compose):
            return NotImplemented
        return (self.transforms, self.lost_boxes) == (other.transforms, other.lost_boxes)

    def __hash__(self) -> int:
        return hash((self.transforms, self.lost_boxes))


class _Warps:
    """An example with a warp that is still to do."""

    def __init__(self, example: Example) -> None:
        self.example = example
        self._matrix: np.ndarray | None = None
        self._fill: Fill | None = None

    def add(self, part: AffineTransform, generator: np.random.Generator) -> None:
        if part.fill and self._fill and part.fill != self._fill:
            self.done()
        matrix = part.draw_matrix(self.example.size, generator)
        self._matrix = matrix if self._matrix is None else self._matrix @ matrix
        self._fill = part.fill or self._fill

    def done(self) -> Example:
        if self._matrix is not None:
            self.example = warp(self.example, self._matrix, self._fill or Fill())
        self._matrix = self._fill = None
        return self.example


class RandomApply(Transform):
    """Apply transforms, or leave the example as it is.

    Args:
        transforms: one, or several in a list.
        p: how likely it is.

    Raises:
        ArgumentError: a part is no transform.
        ArgumentValueError: p is not between 0 and 1, or a part mixes batches.

    Source: torchvision.transforms.v2.RandomApply.

    Example:
        >>> from unikeras.data.transforms import RandomFlip
        >>> RandomApply(RandomFlip("horizontal", p=1), p=0)(np.array([[1, 2]], "uint8"))[..., 0].tolist()
        [[1, 2]]
    """

    def __init__(self, transforms: Any, p: float = 0.5) -> None:
        self.transform = Compose(transforms if isinstance(transforms, list | tuple) else [transforms])
        self.p = _ranges.check_probability("p", p)
        if self.transform.batch_transforms:
            raise ArgumentValueError(
                "RandomApply is for transforms of one example; MixUp and CutMix mix a batch"
            )

    def apply(self, example: Example, generator: np.random.Generator) -> Example:
        return self.transform.apply(example, generator) if generator.random() < self.p else example

    def __repr__(self) -> str:
        return f"RandomApply({self.transform!r}, p={self.p})"


def from_layer(layer: Any) -> Transform:
    """Return the transform with the same meaning as a layer of Keras.

    Random numbers differ from the layer's: they come from the generator that the transform is given.

    Args:
        layer: a preprocessing or augmentation layer of `keras.layers`, or a `Sequential` or `Pipeline` of them.

    Returns:
        A transform; a `Compose` for several layers.

    Raises:
        ArgumentError: it is no layer of Keras.
        ArgumentValueError: the layer, or one of its arguments, has no transform.

    Example:
        >>> import keras
        >>> from_layer(keras.layers.RandomFlip("horizontal"))
        RandomFlip(mode='horizontal', p=0.5)
    """
    if not is_layer(layer):
        raise ArgumentError(f"{layer!r:.80} of type {type(layer).__name__} is no layer of Keras")
    import keras

    if isinstance(layer, keras.Sequential | keras.layers.Pipeline):
        return Compose([from_layer(each) for each in layer.layers])
    return transform_of(layer)


def check_transform(value: Any) -> Transform:
    """Return a transform as it is, and a layer of Keras as the transform with the same meaning.

    Args:
        value: a `Transform`, or what `from_layer` takes.

    Returns:
        A `Transform`.

    Raises:
        ArgumentError: it is neither.
        ArgumentValueError: it is a layer without a transform.

    Example:
        >>> import keras
        >>> check_transform(keras.layers.Rescaling(2.0))
        Rescale(scale=2.0, offset=0.0)
    """
    if isinstance(value, Transform):
        return value
    if is_layer(value):
        return from_layer(value)
    if isinstance(value, type) and issubclass(value, Transform):
        raise ArgumentError(f"{value.__name__} is a class; a transform is {value.__name__}(...)")
    if callable(value):
        raise ArgumentError(
            f"{value!r:.80} is a function and no transform; unikeras.data.transforms.Function(f) makes one of it"
        )
    raise ArgumentError(f"{value!r:.80} of type {type(value).__name__} is no transform and no layer of Keras")
